"""What each kind of logger is given: images, choices with final scores, and what was logged before a resume."""

from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from fkd.io.atomic import whole_file
from fkd.library_internals import lightning, torch
from fkd.types import Image


@singledispatch
def log_image(logger: Logger, tag: str, image: Image, step: int) -> None:
    """Log an RGB image (H, W, 3) under a name such as "val/faces"; a logger of another kind takes no images."""


@log_image.register
def _(logger: TensorBoardLogger, tag: str, image: Image, step: int) -> None:
    logger.experiment.add_image(tag, image, step, dataformats="HWC")


@log_image.register
def _(logger: WandbLogger, tag: str, image: Image, step: int) -> None:
    logger.log_image(tag, [image], step)


@log_image.register
def _(logger: MLFlowLogger, tag: str, image: Image, step: int) -> None:
    logger.experiment.log_image(logger.run_id, image, key=tag, step=step)


def log_hyperparameters(loggers: Sequence[Logger], config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Log choices and final scores once, at the end of a run, to every logger but the CSV file's.

    They become a row of TensorBoard's HParams tab, or of the table of runs of wandb or MLflow. TensorBoard's logger
    needs ``default_hp_metric=False``: the placeholder that it would write first makes TensorBoard show its columns.

    Args:
        loggers: the trainer's.
        config: nested choices, shown with dotted keys such as ``optimizer.lr``.
        metrics: final values under names of their own, such as ``best/nme``; a name that is logged during training
            would get one more point on its curve.
    """
    flat = dict(_flat(config))
    for logger in loggers:
        _log(logger, flat, dict(metrics))
        logger.save()


@singledispatch
def _log(logger: Logger, config: dict[str, Any], metrics: dict[str, float]) -> None:
    logger.log_hyperparams(config)
    logger.log_metrics(metrics)


@_log.register
def _(logger: CSVLogger, config: dict[str, Any], metrics: dict[str, float]) -> None:
    """metrics.csv has a row per step and no place for them; result.json holds the same."""


@_log.register
def _(logger: TensorBoardLogger, config: dict[str, Any], metrics: dict[str, float]) -> None:
    torch.add_hyperparameters(logger, config, metrics)
    logger.log_metrics(metrics)


@_log.register
def _(logger: WandbLogger, config: dict[str, Any], metrics: dict[str, float]) -> None:
    logger.log_hyperparams(config)
    logger.experiment.summary.update(metrics)
    logger.experiment.finish()  # the next job of a sweep has a run of its own


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int | float | str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:  # torch writes booleans as 0 and 1 unless they are text
            number = isinstance(value, int | float) and not isinstance(value, bool)
            yield f"{prefix}{key}", value if number else str(value)


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
