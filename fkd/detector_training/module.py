"""Trains a net for face detection on whole photos."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics import MeanMetric

from fkd.detector_training.mosaics import Mosaic
from fkd.detector_training.targets import loss_of
from fkd.errors import UserError

WEIGHTS = {"centre": 1.0, "offset": 2.0, "size": 1.0, "roll": 0.3}
"""Weights of the parts of the loss."""


class DetectorModule(pl.LightningModule):
    """Trains a net that gives the maps of `fkd.detector_training.targets.maps_of`.

    Logs `train/loss` and `val/loss`, and of the latter each part.

    Args:
        net: (B, 1, H, W) uint8 -> (B, 6, H/8, W/8).
        optimizer: (parameters) -> optimizer.
    """

    def __init__(self, net: nn.Module, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]) -> None:
        super().__init__()
        self.net, self._optimizer = net.to(memory_format=torch.channels_last), optimizer  # faster convolutions
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.net(images)
        return maps

    def training_step(self, batch: Mosaic, batch_idx: int) -> Tensor:
        loss = sum(self._losses(batch).values(), torch.zeros(()))
        self.train_loss.update(loss.detach())
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Mosaic, batch_idx: int) -> None:
        losses, size = self._losses(batch), len(batch.image)
        self.val_loss.update(sum(losses.values(), torch.zeros(())))
        self.log("val/loss", self.val_loss, on_epoch=True, batch_size=size)
        self.log_dict({f"val/{name}": value for name, value in losses.items()}, on_epoch=True, batch_size=size)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.net.parameters())
        highest = [group["lr"] for group in optimizer.param_groups]
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, highest, steps, pct_start=0.1, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def load_weights(self, path: str | Path, key: str) -> dict[str, Any]:
        """Give the net the weights of a checkpoint of this module; gives its content.

        Args:
            path: of the checkpoint.
            key: of the config that names it, for errors.

        Raises:
            UserError: it is no checkpoint, or that of another net.
        """
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            weights = content["state_dict"]
        except Exception as error:  # a file of another kind can fail in any way
            raise UserError(f"{key}={path}: expected a checkpoint of a face detector's training, found none") from error
        if {name: value.shape for name, value in weights.items()} != {k: v.shape for k, v in self.state_dict().items()}:
            raise UserError(f"{key}={path}: expected the net of this training, found another one; give its model.net")
        self.load_state_dict(weights)
        return content

    def check_resume(self, path: str | Path, steps: int) -> None:
        """Check that a training can be resumed from a checkpoint.

        Args:
            path: of the checkpoint.
            steps: of the whole training.

        Raises:
            UserError: it is no last.ckpt, or that of another net or of a training of another length.
        """
        content = self.load_weights(path, "ckpt")
        if not (schedules := content.get("lr_schedulers")):
            raise UserError(f"ckpt={path}: expected last.ckpt, found only weights; start a new one with weights={path}")
        if (found := schedules[0]["total_steps"]) != steps:
            raise UserError(
                f"ckpt={path}: expected a training of {steps:,} steps, as this one has, found {found:,}; give its "
                "trainer.max_epochs, mosaics.length and data.batch_size"
            )
        if content["global_step"] >= steps:
            raise UserError(f"ckpt={path}: this training has ended; start a new one with weights={path}")

    def _losses(self, batch: Mosaic) -> dict[str, Tensor]:
        maps = self.net(batch.image).float()
        return {name: WEIGHTS[name] * value for name, value in loss_of(maps, batch.maps).items()}
