"""What loggers must be told when a training goes on."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from fkd.io.atomic import whole_file


def restore_metrics(trainer: pl.Trainer, logged: str) -> None:
    """Makes metrics.csv what it was when the file was saved; Lightning's logger begins with an empty one."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.experiment.metrics_keys = logged.splitlines()[0].split(",")
            with whole_file(Path(logger.log_dir) / "metrics.csv") as file:
                file.write(logged.encode())


def restart_curves(trainer: pl.Trainer) -> None:
    """Tells TensorBoard to drop what it has of later steps: they will be logged again."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            start = SessionLog(status=SessionLog.START)
            logger.experiment._get_file_writer().add_event(Event(step=trainer.global_step, session_log=start))
