"""What was chosen and what came of it: a row of TensorBoard's HParams tab, of wandb's or MLflow's table of runs."""

from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from torch.utils.tensorboard.summary import hparams


def log_hyperparameters(loggers: Sequence[Logger], config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Writes both to every logger but the CSV file's, once, at the end of a run.

    TensorBoard's logger must not write a placeholder first (``default_hp_metric=False``), or its columns are shown.

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
    """Its file has a row per step and no place for them; result.json says the same."""


@_log.register
def _(logger: TensorBoardLogger, config: dict[str, Any], metrics: dict[str, float]) -> None:
    # Without the first summary, a list of columns, TensorBoard begins with those that differ between the runs.
    _, *summaries = hparams(config, metrics)  # type: ignore[no-untyped-call]
    for summary in summaries:
        logger.experiment._get_file_writer().add_summary(summary)
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
