"""A running mean of the weights, which is what is validated and kept."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class EMA(WeightAveraging):
    """Lightning's average as an exponential one, which stays in the net until the next batch.

    The mean is shorter at first, with a decay of (1 + n) / (10 + n) after n steps as long as that is less (as in
    TensorFlow's `ExponentialMovingAverage`), so that the first, random weights do not weigh for long. Lightning's
    `EMAWeightAveraging` has no such start, and puts the last step's weights back before checkpoints of weights only are
    written: these would hold other weights than those whose `val/loss` they are named by.

    Args:
        decay: of the mean; after a step it keeps this share of itself.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=self._mean)
        self.decay = decay
        self._shown = False  # the mean is in the net, the last step's weights are with the callback

    def _mean(self, mean: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
        keep = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        return keep * mean + (1 - keep) * weights

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._shown:
            super().on_validation_epoch_start(trainer, pl_module)
            self._shown = self._average_model is not None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Not yet: the best epoch is saved after this."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._put_back(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._put_back(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last step's weights, from which a training can go on; `best.ckpt` has the mean."""
        self._put_back(pl_module)

    def _put_back(self, pl_module: pl.LightningModule) -> None:
        if self._shown:
            self._swap_models(pl_module)
            self._shown = False
