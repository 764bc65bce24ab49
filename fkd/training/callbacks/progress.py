"""One progress bar for the whole training, and one line for each epoch."""

import math
import time
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from rich import progress as rich_progress

from fkd.terminal import Console
from fkd.training.callbacks.throughput import Throughput

_REFRESH_SECONDS = 0.25


class Progress(ProgressBar):
    """Shows the progress of a training, the time left, and its losses.

    A terminal shows a bar for all epochs, validation included, and above it one line for each epoch, marked * if its
    `val/loss` is the lowest so far. A log file gets the lines only, each with the time left.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._console: Console | None = None  # None outside of training
        self._bar: rich_progress.Progress | None = None
        self._throughput: Throughput | None = None
        self._start = self._next_refresh = 0.0
        self._done = self._skipped = 0.0  # batches of training and validation; skipped: those before a resume
        self._best = math.inf
        self._val_nme: float | None = None
        self._validated = self._improved = False  # in this epoch

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._enabled:
            return
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        self._throughput = next((c for c in callbacks if isinstance(c, Throughput)), None)
        self._best = _best_so_far(trainer)
        self._start = time.monotonic()
        self._done = self._skipped = trainer.current_epoch * _batches_per_epoch(trainer)
        self._console = Console()
        if self._console.is_interactive:
            columns = ("training", rich_progress.BarColumn(bar_width=None), "{task.fields[status]}")
            # Hooks refresh the bar: a refreshing thread could hold a lock while data workers are forked.
            self._bar = rich_progress.Progress(*columns, console=self._console, auto_refresh=False, expand=True)
            self._bar.add_task("training", status="")
            self._refresh(trainer)
            self._bar.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = self._improved = False

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._console is None:
            return
        self._validated = True
        metrics = trainer.callback_metrics
        if "val/nme" in metrics:
            self._val_nme = float(metrics["val/nme"])
        if (loss := float(metrics.get("val/loss", math.inf))) < self._best:
            self._best, self._improved = loss, True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._console is not None:
            self._console.print(self._line(trainer), markup=False, highlight=False, soft_wrap=True)
            self._refresh(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._console = None

    def _advance(self, trainer: pl.Trainer) -> None:
        self._done += 1
        if self._bar is not None and time.monotonic() >= self._next_refresh:
            self._refresh(trainer)

    def _refresh(self, trainer: pl.Trainer) -> None:
        if self._bar is None:
            return
        self._next_refresh = time.monotonic() + _REFRESH_SECONDS
        epoch, total = _epoch(trainer), _total_batches(trainer)
        times = [_clock(time.monotonic() - self._start), self._time_left(trainer)]
        nme = "" if self._val_nme is None else f"val/nme {self._val_nme:.2f} %"
        fields = [epoch, self._speed(), ", ".join(filter(None, times)), nme]
        self._bar.update(
            self._bar.task_ids[0],
            completed=self._done,
            total=total if math.isfinite(total) else None,
            status="  ".join(filter(None, fields)),
            refresh=True,
        )

    def _line(self, trainer: pl.Trainer) -> str:
        metrics = trainer.callback_metrics
        fields = [_epoch(trainer)]
        names = ["train/loss", "val/loss"] if self._validated else ["train/loss"]  # val/loss is of an earlier epoch
        fields += [f"{name} {float(metrics[name]):#.4g}" for name in names if name in metrics]
        if self._validated and self._val_nme is not None:
            fields.append(f"val/nme {self._val_nme:.2f} %")
        time_left = "" if self._bar is not None else self._time_left(trainer)
        return "  ".join(filter(None, [*fields, self._speed(), time_left, "*" if self._improved else ""]))

    def _speed(self) -> str:
        speed = None if self._throughput is None else self._throughput.images_per_s
        return "" if speed is None else f"{speed:.0f} images/s"

    def _time_left(self, trainer: pl.Trainer) -> str:
        """The time left, if further batches take as long as those so far; "" if unknown."""
        left, done = _total_batches(trainer) - self._done, self._done - self._skipped
        if not math.isfinite(left) or done <= 0:
            return ""
        return f"{_clock(max(left, 0) * (time.monotonic() - self._start) / done)} left"


def _best_so_far(trainer: pl.Trainer) -> float:
    """The lowest `val/loss` before a resume, from the state of the checkpoint callback; infinite without one."""
    kept = (c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor == "val/loss")
    return next((float(c.best_model_score) for c in kept if c.best_model_score is not None), math.inf)


def _epoch(trainer: pl.Trainer) -> str:
    epochs = _epochs(trainer)
    last = str(math.ceil(epochs)) if math.isfinite(epochs) else ""
    return f"epoch {trainer.current_epoch + 1:>{len(last)}}" + (f"/{last}" if last else "")


def _epochs(trainer: pl.Trainer) -> float:
    """The number of epochs until `max_epochs` or `max_steps` ends the training; infinite if neither does."""
    epochs = math.inf if trainer.max_epochs in (None, -1) else float(trainer.max_epochs)
    if trainer.max_steps == -1:
        return epochs
    return min(epochs, trainer.max_steps / math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches))


def _total_batches(trainer: pl.Trainer) -> float:
    return _epochs(trainer) * _batches_per_epoch(trainer)


def _batches_per_epoch(trainer: pl.Trainer) -> float:
    """The batches of training and, on average, of validation in an epoch."""
    training = trainer.num_training_batches
    if not (trainer.enable_validation and math.isfinite(training)):
        return training
    interval = trainer.val_check_batch or training  # training batches from one validation to the next
    if trainer.check_val_every_n_epoch is None:
        validations = training / interval
    else:
        validations = max(training // interval, 1) / trainer.check_val_every_n_epoch
    return training + sum(trainer.num_val_batches) * validations


def _clock(seconds: float) -> str:
    """Format as m:ss, from one hour on as h:mm:ss; short, since the bar has to fit into 80 columns."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}" if whole < 3600 else str(timedelta(seconds=whole))
