"""Training a net as it is used."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class EvaluationMode(Callback):
    """From some epoch on a net trains in evaluation mode: no dropout, BatchNorm with the statistics it has gathered.

    Then what is minimised is what validation sees, and faces can be overfitted to no error at all: with dropout
    a net never does, and BatchNorm's running variance of a batch of ten differs from the batch's own by a tenth.

    Args:
        after: epochs of ordinary training, in which BatchNorm gathers its statistics.
    """

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch >= self.after:
            pl_module.eval()
