"""Undocumented parts of pytorch-lightning."""

from collections.abc import Mapping
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.profilers import Profiler
from torch.optim.swa_utils import AveragedModel

STEP_ACTION = "run_training_batch"
"""The profiled action that ends with a training step."""
PROFILED_ACTIONS: Mapping[str, str] = {
    r"_next$": "waiting for data",
    r"\.batch_to_device$|\.transfer_batch_to_device$": "copy to device",
    r"\.training_step$": "forward and loss",
    r"\.backward$": "backward",
    r"\.optimizer_step$|\.optimizer_zero_grad$": "optimizer",
    r"\.validation_step$|\.on_validation_\w+$": "validation",
}
"""Regular expression for the names of profiled actions -> part of the training; profilers see only these names."""


def started_epochs(trainer: pl.Trainer) -> int:
    """The number of epochs that have started; `Trainer.current_epoch` lags behind while an epoch ends."""
    started: int = trainer.fit_loop.epoch_progress.current.started  # type: ignore[attr-defined]
    return started


def set_max_epochs(trainer: pl.Trainer, epochs: int) -> None:
    """Change the number of epochs; `Trainer.max_epochs` cannot be set."""
    trainer.fit_loop.max_epochs = epochs


def batches_done(trainer: pl.Trainer) -> int:
    """The completed training batches of the current epoch, 0 after its last one; the Trainer counts steps only."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    is_over = progress.is_last_batch and progress.current.ready == progress.current.completed
    return 0 if is_over else progress.current.completed


def mark_not_started(checkpoint: dict[str, Any], next_one: Literal["epoch", "batch"]) -> None:
    """Take back, in a checkpoint, that the next epoch or batch is ready.

    Lightning counts it before callbacks can save; on resuming it would be taken for one that was interrupted.
    """
    loops = checkpoint["loops"]["fit_loop"]
    if next_one == "epoch":
        counts = loops["epoch_progress"]
    else:
        counts = loops["epoch_loop.batch_progress"]
        counts["is_last_batch"] = False
    for name in ("total", "current"):
        counts[name]["ready"] = counts[name]["processed"]


def average_model(callback: WeightAveraging) -> AveragedModel | None:
    """The averaged net, None outside of training; Lightning copies it before the net moves to its device."""
    return callback._average_model


def trainer_of(profiler: Profiler) -> pl.Trainer:
    """The trainer that uses a profiler; `Profiler.setup` is not given it."""
    trainer: pl.Trainer = profiler._lightning_module.trainer  # type: ignore[attr-defined]
    return trainer


def set_csv_columns(logger: CSVLogger, columns: list[str]) -> None:
    """Continue a metrics.csv with these columns; the logger itself always starts a new file."""
    logger.experiment.metrics_keys = columns
