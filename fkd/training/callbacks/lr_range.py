"""The range test of the learning rate."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import Callback
from scipy.signal import lfilter

from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.library_internals import lightning
from fkd.terminal import tell

_SMOOTH = 0.9  # weight of the past in the running mean of the losses
_DIVERGED_FACTOR = 4.0  # a mean loss above the lowest times this: training has diverged
_FIRST = round(1 / (1 - _SMOOTH))  # batches until the running mean is steady enough
_FALL_FACTOR = 0.9  # a mean loss below the highest so far times this: the net has started to learn
_RISE_FACTOR = 1.15  # a mean loss above the lowest so far times this: the learning rate is too high
_SPIKE_FACTOR = 1.5  # a batch loss above the running mean times this: too high, too
_SIGMAS = 6  # standard deviations of noisy losses that replace these factors where they are larger
_MARGIN = 4  # the suggestion is the first rate that was too high, divided by this
_LINES = 10  # printed lines of a complete test


class LearningRateRange(Callback):
    """Raises the learning rate with each batch until the loss explodes; draws the curve and suggests a learning rate.

    The range test of Smith ("Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3) bounds the
    learning rate by the point where the loss becomes noisy or rises. The suggestion is a quarter of the first such rate
    after the loss has started to fall; later rates do not matter, since a diverged net can still learn to predict the
    mean face. There is no suggestion without such a rate, or after an interruption.

    The test takes as many epochs as it needs; `trainer.max_epochs` is ignored.

    Args:
        low, high: first and last learning rate.
        steps: number of batches, with learning rates evenly spaced on a logarithmic scale.
        path: file of the image.

    Raises:
        UserError: the rates or steps are out of range, or the first loss is not finite.
    """

    def __init__(self, low: float, high: float, steps: int, path: str) -> None:
        if not 0 < low < high < math.inf:
            raise UserError(f"callbacks.lr_range: expected 0 < low < high, found low={low}, high={high}")
        if not (isinstance(steps, int) and steps >= 10):
            raise UserError(f"callbacks.lr_range.steps: expected a whole number from 10 on, found {steps!r}")
        self.rates, self.path = np.geomspace(low, high, steps), Path(path)
        self.losses: list[float] = []
        self._is_over = False  # all rates were tried, or training diverged

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        lightning.set_max_epochs(trainer, len(self.rates))  # an epoch has one batch or more

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if len(self.losses) < len(self.rates):
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = self.rates[len(self.losses)] * group.get("lr_factor", 1.0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))
        if not math.isfinite(self.losses[0]):
            raise UserError(
                f"callbacks.lr_range: expected a finite loss before the first step, found {self.losses[0]}; "
                "look at the data, the weights that training begins with, and trainer.precision"
            )
        means = smoothed(self.losses)
        diverged = not means[-1] <= _DIVERGED_FACTOR * means.min()  # also if it is NaN
        done, total = len(self.losses), len(self.rates)
        self._is_over = diverged or done >= total
        trainer.should_stop = trainer.should_stop or self._is_over
        if trainer.is_global_zero and (self._is_over or done % math.ceil(total / _LINES) == 0):
            tell(f"batch {done:>{len(str(total))}}/{total}  lr {self.rates[done - 1]:.1e}  loss {means[-1]:#.4g}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self.losses:
            suggestion = None if (obstacle := self.obstacle) else self.suggestion
            self._draw(suggestion)
            verdict = f"nothing to suggest: {obstacle}" if suggestion is None else f"try optimizer.lr={suggestion:.1e}"
            tell(f"learning rate: {verdict} (curve in {self.path})")

    @property
    def suggestion(self) -> float | None:
        """A quarter of the first learning rate that was too high; None if no rate was."""
        edge = self._first_too_high()
        return None if edge is None else float(self.rates[edge] / _MARGIN)

    @property
    def obstacle(self) -> str:
        """The reason why there is no suggestion; "" if there is one."""
        if not self._is_over:
            return f"training was interrupted after {len(self.losses)} of {len(self.rates)} batches"
        if not self._has_fallen().any():
            return "the loss did not fall at any rate; debug=overfit tells whether the net can learn at all"
        if (suggestion := self.suggestion) is None:
            return f"no rate was too high; set callbacks.lr_range.high={100 * self.rates[-1]:.0e}"
        if suggestion < (low := self.rates[0]):
            too_high = _MARGIN * suggestion
            return f"{too_high:.1e} was too high, and few were tried below; set callbacks.lr_range.low={low / 100:.0e}"
        return ""

    def _first_too_high(self) -> int | None:
        """The first batch, after the mean loss has started to fall, whose loss spikes or raises the mean."""
        means, noise = self._means(), self._noise()
        lowest = np.minimum.accumulate(means)
        above = np.array(self.losses[1:]) > max(_SPIKE_FACTOR, math.exp(_SIGMAS * noise)) * means[:-1]
        rises = ~(means <= max(_RISE_FACTOR, math.exp(_SIGMAS * _of_mean(noise))) * lowest)  # also if it is NaN
        too_high = self._has_fallen() & (np.array([False, *above]) | rises)
        return int(np.argmax(too_high)) if too_high.any() else None

    def _has_fallen(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the mean loss has been clearly below its highest value by each batch."""
        means = self._means()
        factor = min(_FALL_FACTOR, math.exp(-_SIGMAS * _of_mean(self._noise())))
        fallen = means < factor * np.maximum.accumulate(np.where(np.arange(len(means)) < _FIRST - 1, 0.0, means))
        return np.logical_or.accumulate(fallen & (np.arange(len(means)) >= _FIRST))

    def _means(self) -> npt.NDArray[np.float64]:
        return np.nan_to_num(smoothed(self.losses), nan=np.inf)

    def _noise(self) -> float:
        """Standard deviation of a batch loss's logarithm: the median of the differences of successive batches."""
        losses = np.array(self.losses)
        logarithms = np.log(losses[np.isfinite(losses) & (losses > 0)])
        return 0.0 if len(logarithms) < 2 else float(1.4826 * np.median(np.abs(np.diff(logarithms))) / math.sqrt(2))

    def _draw(self, suggestion: float | None) -> None:
        figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        tried = self.rates[: len(self.losses)]
        axes.plot(tried, self.losses, linewidth=0.8, alpha=0.5, label="loss of a batch")
        axes.plot(tried, smoothed(self.losses), linewidth=1.8, label="running mean")
        if suggestion is not None:
            axes.axvline(suggestion, color="0.3", linestyle="--", label=f"suggested: {suggestion:.1e}")
        axes.set(xlabel="learning rate", ylabel="training loss", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        with whole_file(self.path) as file:
            figure.savefig(file, format="png")


def _of_mean(noise: float) -> float:
    """Standard deviation of the running mean of losses with this standard deviation."""
    return noise * math.sqrt((1 - _SMOOTH) / (1 + _SMOOTH))


def smoothed(losses: list[float]) -> npt.NDArray[np.float64]:
    """Exponential running means of losses (N,), each divided by the sum of its weights."""
    weighted: npt.NDArray[np.float64] = lfilter([1 - _SMOOTH], [1, -_SMOOTH], losses)
    return weighted / (1 - _SMOOTH ** np.arange(1, len(losses) + 1))
