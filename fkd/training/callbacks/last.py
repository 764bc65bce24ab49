"""Saves `last.ckpt`, from which a training resumes exactly, also when a signal ends the training."""

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import CSVLogger

from fkd.errors import Interrupted
from fkd.library_internals import lightning
from fkd.training.callbacks.loggers import restart_curves, restore_metrics
from fkd.training.runs import rng_state

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
_CHECK_EVERY = 8  # steps between two checks whether another rank has received a signal


class Last(Checkpoint):
    """Saves the training after each epoch and when a signal ends it.

    On the CPU, a resumed training ends with bitwise the same weights as one without interruption: the checkpoint also
    holds the states of random generators, the position in the epoch, and metrics.csv. It is saved before the next epoch
    starts, because only then schedules and loggers have completed the last one.

    SIGTERM, SIGUSR1 and SIGUSR2 (which clusters send before they end a job) and Ctrl-C end the training with
    `Interrupted` after the current batch or validation. A handler of SIGUSR1 or SIGUSR2 that was set before, such as
    submitit's, which queues the job again, is called after saving.

    Args:
        path: file of the checkpoint.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._loaded: dict[str, Any] | None = None
        self._ended = False  # by early stopping or max_time: a resumed training stops, too
        self._saves_before: Literal["epoch", "batch"] | None = None
        self._unsaved = False
        self._received: int | None = None  # number of a signal
        self._before: dict[int, Any] = {}  # signal handlers of the program that started the training
        self._replaced: dict[int, Any] = {}
        self._metrics: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        loggers = [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]
        self._metrics = Path(loggers[0].log_dir) / "metrics.csv" if loggers else None

    def state_dict(self) -> dict[str, Any]:
        path = self._metrics
        logged = None if path is None or not path.exists() else path.read_bytes().decode()  # keeps line ends
        return {"random": rng_state.collect(), "metrics": logged, "ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.ckpt_path is None or Path(trainer.ckpt_path).absolute() != self.path.absolute():
            return  # the checkpoint of another run, whose best epoch does not count here
        for state in checkpoint["callbacks"].values():
            if folder := state.get("dirpath"):  # the run folder may have been moved
                state.update(_moved(state, folder, str(self.path.parent)))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._loaded is not None and self._loaded["metrics"] is not None and trainer.is_global_zero:
            restore_metrics(trainer, self._loaded["metrics"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._loaded is not None:
            trainer.should_stop = self._loaded["ended"]
            if trainer.is_global_zero:
                restart_curves(trainer)
            rng_state.restore(self._loaded["random"])
        if threading.current_thread() is threading.main_thread():
            self._replaced = {number: signal.signal(number, self._receive) for number in _SIGNALS}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._unsaved:
            self._save(trainer, before="epoch")
        if self._any_received(trainer):
            self._leave(trainer, f"in epoch {trainer.current_epoch + 1}")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Check for signals before a batch, when the last one is complete with its validation."""
        stepped = batch_idx % trainer.accumulate_grad_batches == 0  # gradients are not saved
        checks = trainer.world_size == 1 or trainer.global_step % _CHECK_EVERY == 0  # communication takes time
        if batch_idx > 0 and stepped and checks and self._any_received(trainer):
            self._save(trainer, before="batch")
            self._leave(trainer, f"in epoch {trainer.current_epoch + 1}")
        self._unsaved = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._ended = trainer.should_stop
        if self._unsaved:
            self._save(trainer, before="epoch")
        if self._any_received(trainer):
            self._leave(trainer, "after the last epoch")
        self._stop_listening()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop_listening()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._saves_before is not None:  # else another callback saves
            lightning.mark_not_started(checkpoint, self._saves_before)

    def _save(self, trainer: pl.Trainer, before: Literal["epoch", "batch"]) -> None:
        for logger in trainer.loggers:
            logger.save()
        self._saves_before, self._unsaved = before, False
        trainer.save_checkpoint(self.path)
        self._saves_before = None

    def _any_received(self, trainer: pl.Trainer) -> bool:
        """Whether any rank has received a signal; the answer is the same on all ranks."""
        return bool(trainer.strategy.reduce_boolean_decision(self._received is not None, all=False))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == number:
            raise KeyboardInterrupt  # a second Ctrl-C ends at once
        self._received = number

    def _leave(self, trainer: pl.Trainer, when: str) -> None:
        number = signal.SIGTERM if self._received is None else self._received  # None: another rank has received one
        self._stop_listening()
        before = self._before.get(number)
        if number not in (signal.SIGINT, signal.SIGTERM) and callable(before):
            before(number, None)
        name, folder = signal.Signals(number).name, self.path.parents[1]
        raise Interrupted(f"interrupted by {name} {when}; all is saved, resume={folder} continues it")

    def _stop_listening(self) -> None:
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        self._replaced = {}


def _moved(node: Any, there: str, here: str) -> Any:
    """Replace the folder of all paths in plain data."""
    if isinstance(node, Mapping):
        return {_moved(key, there, here): _moved(value, there, here) for key, value in node.items()}
    if isinstance(node, str) and Path(node).is_relative_to(there):
        return str(Path(here, Path(node).relative_to(there)))
    return node
