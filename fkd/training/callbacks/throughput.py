"""How fast a training is."""

import time

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from fkd.types import Batch


class Throughput(Callback):
    """Training images per second so far, over all devices, logged as `train/images_per_s` at the end of each epoch.

    Loading, augmentation and the optimizer are in it; validation, saving and the run's first batch (kernels are chosen,
    workers start) are not.
    """

    def __init__(self) -> None:
        self._images = 0
        self._seconds = 0.0
        self._warm = False  # the first batch is done
        self._mark: float | None = None  # until when the seconds are counted; None while the clock stands

    def state_dict(self) -> dict[str, float]:
        return {"images": self._images, "seconds": self._seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self._images, self._seconds = int(state_dict["images"]), state_dict["seconds"]

    @property
    def images_per_s(self) -> float | None:
        """None until the second batch has ended."""
        return self._images / self._seconds if self._images and self._seconds else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._warm:
            self._mark = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if self._warm and self._mark is None:  # a validation in the middle of the epoch has ended
            self._mark = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        if self._mark is None:
            _finish_work(pl_module)
            self._warm, self._mark = True, time.monotonic()
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
    """A batch ends when its work is queued; the clock may be read only when it is done."""
    if pl_module.device.type != "cpu":
        torch.accelerator.synchronize(pl_module.device)
