"""Ends a training that has diverged before it overwrites good checkpoints."""

import math

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from fkd.errors import Diverged


class FiniteGuard(Callback):
    """Ends training with `Diverged` when `val/loss` or the epoch's `train/loss` is not finite.

    Lightning calls checkpoint callbacks after all others, so a diverged epoch is never saved.
    """

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            _check(trainer, "val/loss")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _check(trainer, "train/loss")


def _check(trainer: pl.Trainer, name: str) -> None:
    value = float(trainer.callback_metrics.get(name, 0.0))
    # All ranks must stop together, or the others would wait for the one that stopped.
    if trainer.strategy.reduce_boolean_decision(not math.isfinite(value), all=False):
        raise Diverged(
            f"epoch {trainer.current_epoch + 1}: {name} is {value}, training has diverged; "
            "try a lower optimizer.lr (debug=lr suggests one)"
        )
