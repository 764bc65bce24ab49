"""Undocumented parts of torch: the writer of TensorBoard's files."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard.summary import hparams

_run = _AsyncWriterThread.run


def _run_quietly(thread: Any) -> None:
    """Keep why a file cannot be written for the next write, which raises it in the training, instead of printing it."""
    try:
        _run(thread)
    except OSError as error:
        error.filename = error.filename or thread._record_writer._writer.filename


_AsyncWriterThread.run = _run_quietly


def add_restart(logger: TensorBoardLogger, step: int) -> None:
    """Make TensorBoard drop the events from a step on; `SummaryWriter(purge_step=)` must know it before it opens."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    _file_writer(logger).add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)))


def add_hyperparameters(logger: TensorBoardLogger, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Add a row to the HParams tab; `SummaryWriter.add_hparams` writes it into a run of its own.

    The first of torch's three summaries, a list of columns, is left out: without it TensorBoard first shows the columns
    that differ between the runs.
    """
    _, *summaries = hparams(config, metrics)  # type: ignore[no-untyped-call]
    for summary in summaries:
        _file_writer(logger).add_summary(summary)


def _file_writer(logger: TensorBoardLogger) -> Any:
    return logger.experiment._get_file_writer()
