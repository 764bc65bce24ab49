"""What each kind of logger is given: images, choices with final scores, and what was logged before a resume."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from fkd.io.atomic import whole_file
from fkd.library_internals import lightning, torch
from fkd.types import Image


def log_image(logger: Logger, tag: str, image: Image, step: int) -> None:
    """Log an RGB image (H, W, 3) under a name such as "val/faces"; loggers of other kinds take no images."""
    match logger:
        case TensorBoardLogger():
            logger.experiment.add_image(tag, image, step, dataformats="HWC")
        case WandbLogger():
            logger.log_image(tag, [image], step)
        case MLFlowLogger():
            logger.experiment.log_image(logger.run_id, image, key=tag, step=step)


def log_hyperparameters(loggers: Sequence[Logger], config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Log choices and final scores, once, at the end of a run.

    They become a row of TensorBoard's HParams tab, or of the table of runs of wandb or MLflow; metrics.csv has no place
    for them. TensorBoard's logger needs ``default_hp_metric=False``: the placeholder that it would write first makes
    TensorBoard show its columns.

    Args:
        loggers: the trainer's.
        config: dotted key, such as ``optimizer.lr`` -> value.
        metrics: final values under names of their own, such as ``best/nme``; a name that is logged during training
            would get one more point on its curve.
    """
    # torch writes booleans as 0 and 1 unless they are text.
    is_number = {key: isinstance(value, int | float) and not isinstance(value, bool) for key, value in config.items()}
    choices = {key: value if is_number[key] else str(value) for key, value in config.items()}
    for logger in loggers:
        match logger:
            case CSVLogger():
                continue
            case TensorBoardLogger():
                torch.add_hyperparameters(logger, choices, dict(metrics))
            case _:
                logger.log_hyperparams(choices)
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(metrics)
            logger.experiment.finish()  # the next job of a sweep has a run of its own
        else:
            logger.log_metrics(dict(metrics))
            logger.finalize("success")  # closes the files, and ends TensorBoard's thread


def restore_metrics(trainer: pl.Trainer, logged: str) -> None:
    """Restore metrics.csv to its content at the checkpoint; Lightning's logger starts with an empty file."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            lightning.set_csv_columns(logger, logged.splitlines()[0].split(","))
            with whole_file(Path(logger.log_dir) / "metrics.csv") as file:
                file.write(logged.encode())


def restart_curves(trainer: pl.Trainer) -> None:
    """Make TensorBoard drop the values of later steps, which will be logged again."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            torch.add_restart(logger, trainer.global_step)
