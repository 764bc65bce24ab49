"""Training a net in evaluation mode."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class EvaluationMode(Callback):
    """Trains without dropout and with BatchNorm's running statistics after some epochs.

    Then training minimises the loss that validation measures, and a few faces can be overfitted to no error: dropout
    prevents that, and BatchNorm's running variance of a batch of ten differs by a tenth from the batch's own.

    Args:
        after: epochs of ordinary training, in which BatchNorm collects its statistics.
    """

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch >= self.after:
            pl_module.eval()
