"""The row of a run in TensorBoard's HParams tab."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger


def log_hyperparameters(loggers: Sequence[Logger], config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Writes what was chosen and what came of it, once, at the end of a run.

    The logger must not write a placeholder first (``default_hp_metric=False``): TensorBoard shows the first one only.

    Args:
        loggers: the trainer's; TensorBoard loggers among them are written to.
        config: nested choices, shown with dotted keys such as ``optimizer.lr``.
        metrics: final values under names of their own, such as ``best/nme``; a name that is logged during training
            would get one more point on its curve.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(dict(_flat(config)), dict(metrics))
            logger.save()


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int | float | str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:  # torch writes booleans as 0 and 1 unless they are text
            number = isinstance(value, int | float) and not isinstance(value, bool)
            yield f"{prefix}{key}", value if number else str(value)
