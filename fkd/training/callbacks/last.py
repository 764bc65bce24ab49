"""`last.ckpt`, from which a training goes on as if it had never stopped, and signals that ask for the end."""

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
_LOOK_EVERY = 8
"""Steps between two looks at whether another process was asked to stop."""


class Last(Checkpoint):
    """Saves the training after each epoch, and at once when a signal asks it to end.

    A training that goes on from the file ends, on the CPU, with bitwise the same weights: beside weights, optimizer and
    schedule the file holds the random states, how far the epoch was and what was logged. It is written before the next
    epoch begins: only then have schedules and loggers seen the epoch that is over.

    SIGTERM, SIGUSR1 and SIGUSR2 (with which clusters announce the end) and Ctrl-C end the training with `Interrupted`
    after the batch that is being computed, or after the validation that is running. A handler of the user signals that
    stood there before, as submitit's, which queues the job again, is called when all is saved.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._loaded: dict[str, Any] | None = None
        self._ended = False  # by early stopping or the clock: there is nothing to go on with
        self._saves_before: Literal["epoch", "batch"] | None = None
        self._unsaved = False
        self._asked: int | None = None
        self._before: dict[int, Any] = {}  # handlers of whoever started this process
        self._replaced: dict[int, Any] = {}
        self._metrics: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        loggers = [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]
        self._metrics = Path(loggers[0].log_dir) / "metrics.csv" if loggers else None

    def state_dict(self) -> dict[str, Any]:
        path = self._metrics
        logged = None if path is None or not path.exists() else path.read_bytes().decode()  # with its line ends
        return {"random": rng_state.collect(), "metrics": logged, "ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.ckpt_path is None or Path(trainer.ckpt_path).absolute() != self.path.absolute():
            return  # another run's: the best epochs of this one begin anew
        here = str(self.path.parent)
        for state in checkpoint["callbacks"].values():
            if there := state.get("dirpath"):
                state.update(_moved(state, there, here))

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
            self._replaced = {number: signal.signal(number, self._note) for number in _SIGNALS}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._unsaved:
            self._save(trainer, before="epoch")
        if self._all_asked(trainer):
            self._leave(trainer, f"in epoch {trainer.current_epoch + 1}")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Looks here, when the batch before is done with all that follows from it, such as a validation."""
        stepped = batch_idx % trainer.accumulate_grad_batches == 0  # gradients are not saved
        looks = trainer.world_size == 1 or trainer.global_step % _LOOK_EVERY == 0  # asking the others takes time
        if batch_idx > 0 and stepped and looks and self._all_asked(trainer):
            self._save(trainer, before="batch")
            self._leave(trainer, f"in epoch {trainer.current_epoch + 1}")
        self._unsaved = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._ended = trainer.should_stop
        if self._unsaved:
            self._save(trainer, before="epoch")
        if self._all_asked(trainer):
            self._leave(trainer, "after the last epoch")
        self._stop_listening()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop_listening()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What is about to begin, an epoch or a batch, must not look to Lightning like one that was cut."""
        if self._saves_before is not None:  # else another callback saves
            lightning.mark_not_started(checkpoint, self._saves_before)

    def _save(self, trainer: pl.Trainer, before: Literal["epoch", "batch"]) -> None:
        for logger in trainer.loggers:
            logger.save()
        self._saves_before, self._unsaved = before, False
        trainer.save_checkpoint(self.path)
        self._saves_before = None

    def _all_asked(self, trainer: pl.Trainer) -> bool:
        """Whether any process was asked to stop; all of them get the same answer."""
        return bool(trainer.strategy.reduce_boolean_decision(self._asked is not None, all=False))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._asked == number:
            raise KeyboardInterrupt  # a second Ctrl-C ends at once
        self._asked = number

    def _leave(self, trainer: pl.Trainer, when: str) -> None:
        number = signal.SIGTERM if self._asked is None else self._asked  # None: another process was asked
        self._stop_listening()
        before = self._before.get(number)
        if number not in (signal.SIGINT, signal.SIGTERM) and callable(before):
            before(number, None)
        raise Interrupted(
            f"interrupted by {signal.Signals(number).name} {when}; all is saved, resume={self.path.parents[1]} goes on"
        )

    def _stop_listening(self) -> None:
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        self._replaced = {}


def _moved(node: Any, there: str, here: str) -> Any:
    """Plain data in which paths below one folder have become paths below another."""
    if isinstance(node, Mapping):
        return {_moved(key, there, here): _moved(value, there, here) for key, value in node.items()}
    if isinstance(node, str) and Path(node).is_relative_to(there):
        return str(Path(here, Path(node).relative_to(there)))
    return node
