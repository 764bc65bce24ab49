"""A running mean of the weights, which is what is validated and kept."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from fkd.errors import UserError
from fkd.library_internals import lightning


class EMA(WeightAveraging):
    """Lightning's average as an exponential one, which stays in the net until the next batch.

    The mean is shorter at first, with a decay of (1 + n) / (10 + n) after n steps as long as that is less (as in
    TensorFlow's `ExponentialMovingAverage`), so that the first, random weights do not weigh for long. Lightning's
    `EMAWeightAveraging` has no such start, and puts the last step's weights back before checkpoints of weights only are
    written: these would hold other weights than those whose `val/loss` they are named by.

    Args:
        decay: of the mean, between 0 and 1; after a step it keeps this share of itself.

    Raises:
        UserError: the decay is something else.
    """

    def __init__(self, decay: float) -> None:
        if not (isinstance(decay, int | float) and 0 < decay < 1):
            raise UserError(f"callbacks.ema.decay: expected a number above 0 and below 1, found {decay!r}")
        super().__init__(multi_avg_fn=self._update)
        self.decay = decay
        self._shown = False  # the mean is in the net, the last step's weights are with the callback

    def _update(self, means: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor | int) -> None:
        done = int(steps)  # not once per tensor: a GPU's number has to be waited for
        keep = min(self.decay, (1 + done) / (10 + done))
        for mean, now in zip(means, weights, strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:  # BatchNorm's count of batches
                mean.copy_(now)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning copies the net before it moves it to a GPU, and would send all weights to the CPU in each step."""
        mean = lightning.average_model(self)
        assert mean is not None
        mean.to(next(pl_module.parameters()))  # its device and dtype

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._shown:
            super().on_validation_epoch_start(trainer, pl_module)
            self._shown = lightning.average_model(self) is not None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Not yet: the best epoch is saved after this."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._put_back(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._put_back(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last step's weights, from which a training can go on; `best.ckpt` has the mean."""
        self._put_back(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """`state_dict` is the mean, which a net is loaded from; training goes on from `current_model_state`."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._shown:  # Lightning takes the weights in the net for the last step's
            mean, last = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint["state_dict"], checkpoint["current_model_state"] = mean, last

    def _put_back(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._shown:
            super().on_validation_epoch_end(trainer, pl_module)  # Lightning's swaps mean and weights
            self._shown = False
