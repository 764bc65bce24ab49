"""The speed of a training."""

import time

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from fkd.types import Batch


class Throughput(Callback):
    """Training images per second so far, over all devices, logged as `train/images_per_s` at the end of each epoch.

    They include loading, augmentation and the optimizer, but not validation, saving and the run's first batch, in which
    kernels are chosen and workers start.
    """

    def __init__(self) -> None:
        self._images = 0
        self._seconds = 0.0
        self._is_warm = False  # the first batch is done
        self._mark: float | None = None  # end of the counted time; None while the clock is stopped

    def state_dict(self) -> dict[str, float]:
        return {"images": self._images, "seconds": self._seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self._images, self._seconds = int(state_dict["images"]), state_dict["seconds"]

    @property
    def images_per_s(self) -> float | None:
        """None until the second batch has ended."""
        return self._images / self._seconds if self._images and self._seconds else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._is_warm:
            self._mark = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if self._is_warm and self._mark is None:  # after a validation within the epoch
            self._mark = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        if self._mark is None:
            _finish_work(pl_module)
            self._is_warm, self._mark = True, time.monotonic()
            return
        self._count_seconds()
        self._images += len(batch.image) * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(pl_module)
        if self.images_per_s is not None:
            pl_module.log("train/images_per_s", self.images_per_s, sync_dist=True)

    def _stop(self, pl_module: pl.LightningModule) -> None:
        if self._mark is not None:
            _finish_work(pl_module)
            self._count_seconds()
            self._mark = None

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self._seconds += now - (self._mark or now)
        self._mark = now


def _finish_work(pl_module: pl.LightningModule) -> None:
    """Wait until the device has done the queued work of the batch."""
    if pl_module.device.type != "cpu":
        torch.accelerator.synchronize(pl_module.device)
