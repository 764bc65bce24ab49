"""Trains a `CenterNet` on whole photos."""

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics import MeanMetric

from fkd.face_detector.targets import loss_of

WEIGHTS = {"centre": 1.0, "offset": 2.0, "size": 1.0, "roll": 0.3}
"""Weights of the parts of the loss."""


class DetectorModule(pl.LightningModule):
    """Trains a net that gives the maps of `fkd.face_detector.targets.maps_of`.

    Logs `train/loss` and `val/loss`, and of the latter each part.

    Args:
        net: (B, 1, H, W) uint8 -> (B, 6, H/8, W/8).
        optimizer: (parameters) -> optimizer.
    """

    def __init__(self, net: nn.Module, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]) -> None:
        super().__init__()
        self.net, self._optimizer = net, optimizer
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.net(images)
        return maps

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = sum(self._losses(batch).values(), torch.zeros(()))
        self.train_loss.update(loss.detach())
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        losses, size = self._losses(batch), len(batch[0])
        self.val_loss.update(sum(losses.values(), torch.zeros(())))
        self.log("val/loss", self.val_loss, on_epoch=True, batch_size=size)
        self.log_dict({f"val/{name}": value for name, value in losses.items()}, on_epoch=True, batch_size=size)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.net.parameters())
        highest = [group["lr"] for group in optimizer.param_groups]
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, highest, steps, pct_start=0.1, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _losses(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        images, target = batch
        return {name: WEIGHTS[name] * value for name, value in loss_of(self.net(images).float(), target).items()}
