"""Exponential moving average of the weights."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from fkd.errors import UserError
from fkd.library_internals import lightning


class EMA(WeightAveraging):
    """Validates and saves the exponential moving average of the weights.

    After n steps the decay is at most (1 + n) / (10 + n), as in TensorFlow's `ExponentialMovingAverage`, so that the
    random first weights are soon forgotten. Lightning's `EMAWeightAveraging` has no such start, and it restores the
    weights of the last step before `best.ckpt` is saved, which would then not hold the weights that were validated.

    Args:
        decay: share of the average that a step keeps, above 0 and below 1.

    Raises:
        UserError: the decay is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not (isinstance(decay, int | float) and 0 < decay < 1):
            raise UserError(f"callbacks.ema.decay: expected a number above 0 and below 1, found {decay!r}")
        super().__init__(multi_avg_fn=self._update)
        self.decay = decay
        self._is_swapped = False  # the net holds the average, the callback the weights of the last step

    def _update(self, means: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor | int) -> None:
        done = int(steps)  # once, not for each tensor: on a GPU this waits
        keep = min(self.decay, (1 + done) / (10 + done))
        for mean, now in zip(means, weights, strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:  # BatchNorm's count of batches
                mean.copy_(now)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the net's device; left on the CPU, each step would copy all weights there."""
        mean = lightning.average_model(self)
        assert mean is not None
        mean.to(next(pl_module.parameters()))  # its device and dtype

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._is_swapped:
            super().on_validation_epoch_start(trainer, pl_module)
            self._is_swapped = lightning.average_model(self) is not None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the average in the net: `best.ckpt` is saved after this."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap_back(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._swap_back(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the weights of the last step in the net, from which training can resume."""
        self._swap_back(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as `state_dict`, which nets are loaded from; training resumes from `current_model_state`."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._is_swapped:  # Lightning expects the weights of the last step in the net
            mean, last = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint["state_dict"], checkpoint["current_model_state"] = mean, last

    def _swap_back(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._is_swapped:
            super().on_validation_epoch_end(trainer, pl_module)  # Lightning's own swaps them
            self._is_swapped = False
