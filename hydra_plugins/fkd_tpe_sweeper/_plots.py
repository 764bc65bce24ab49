"""Two images of a sweep: how its best value fell, and where in the search space the good values lie."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from hydra_plugins.fkd_tpe_sweeper._space import Space
from hydra_plugins.fkd_tpe_sweeper._study import complete

_COLUMNS = 4
_TICKS = 5
_SPREAD = 0.25  # to either side of a choice, so that its trials do not cover each other


def history(trials: Sequence[FrozenTrial], objective: str) -> Figure:
    """The value of each trial by its number, and the lowest so far.

    Args:
        trials: in their order; one or more have been trained to their end.
        objective: what is minimised, in words, with its unit.
    """
    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    values = complete(trials)
    lowest = np.minimum.accumulate([*values.values()])
    numbers = [*values, trials[-1].number]
    axes.step(numbers, [*lowest, lowest[-1]], where="post", color="C3", alpha=0.5, label="best so far")
    _scatter(axes, trials, list(range(len(trials))))
    axes.set(xlabel="trial", ylabel=objective)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(figure, [axes], values)
    return figure


def slices(trials: Sequence[FrozenTrial], space: Space, objective: str) -> Figure:
    """The value of each trial over each key that was varied, on an axis that shows all of the space.

    Args:
        trials: one or more have been trained to their end.
        space: key -> its values; of logarithmic ones the axis is logarithmic.
        objective: what is minimised, in words, with its unit.
    """
    columns = min(len(space), _COLUMNS)
    rows = math.ceil(len(space) / columns)
    figure = Figure(figsize=(max(3.2 * columns, 4.8), 4.2 * rows), dpi=150, layout="constrained")
    panels: list[Axes] = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for spare in panels[len(space) :]:
        spare.remove()
    panels = panels[: len(space)]
    for i, (axes, (key, distribution)) in enumerate(zip(panels, space.items(), strict=True)):
        _scatter(axes, trials, [_place(trial, key, distribution) for trial in trials])
        _name_values(axes, distribution)
        axes.set(xlabel=key, ylabel=objective if i % columns == 0 else None)
    _finish(figure, panels, complete(trials))
    return figure


def _scatter(axes: Axes, trials: Sequence[FrozenTrial], x: Sequence[float]) -> None:
    """Trials by their values, the best one marked; those without a final value along the upper edge."""
    values = complete(trials)
    axes.scatter([x[n] for n in values], [*values.values()], s=28, alpha=0.7, linewidths=0, label="trained to its end")
    best = min(values, key=values.__getitem__)
    label = f"best: #{best}, {values[best]:.4g}"
    axes.scatter(x[best], values[best], s=140, marker="*", color="C3", edgecolors="white", zorder=3, label=label)
    if pruned := [x[trial.number] for trial in trials if trial.state == TrialState.PRUNED]:
        axes.scatter(
            pruned, [1.0] * len(pruned), transform=axes.get_xaxis_transform(), clip_on=False, s=36, marker="v",
            facecolors="white", edgecolors="0.45", zorder=3, label="pruned or diverged, no final value",
        )  # fmt: skip


def _place(trial: FrozenTrial, key: str, distribution: BaseDistribution) -> float:
    if (value := trial.params.get(key)) is None:  # its process was killed while it drew the values
        return math.nan
    if not isinstance(distribution, CategoricalDistribution):
        return float(value)
    beside = trial.number * (math.sqrt(5) - 1) / 2 % 1  # multiples of the golden ratio lie apart from each other
    return distribution.choices.index(value) + _SPREAD * (2 * beside - 1)


def _name_values(axes: Axes, distribution: BaseDistribution) -> None:
    if isinstance(distribution, CategoricalDistribution):
        count = len(distribution.choices)
        is_wide = sum(len(str(choice)) + 2 for choice in distribution.choices) > 36
        axes.set_xticks(range(count), list(map(str, distribution.choices)), rotation=30 if is_wide else 0)
        if is_wide:
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
        axes.set_xlim(-0.5, count - 0.5)
        return
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    if distribution.log:  # type: ignore[attr-defined]
        margin = (high / low) ** 0.05
        axes.set_xscale("log")
        axes.set_xlim(low / margin, high * margin)
        axes.set_xticks(ticks := _log_ticks(low, high), [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        margin = 0.05 * (high - low) or 0.5
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(_TICKS))


def _log_ticks(low: float, high: float) -> list[float]:
    """A few round numbers between the limits; the limits, where there are none."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [tick for power in powers for step in steps if low <= (tick := float(f"{step}e{power}")) <= high]
        if len(ticks) <= _TICKS:
            break
    return ticks[:: math.ceil(len(ticks) / _TICKS)] if len(ticks) > 1 else [low, high]


def _finish(figure: Figure, panels: Sequence[Axes], values: Mapping[int, float]) -> None:
    low, high = min(values.values()), max(values.values())
    for axes in panels:
        if 0 < 4 * low < high:  # a few bad trials would press all others together
            axes.set_yscale("log")
            axes.set_yticks(ticks := _log_ticks(low / 1.2, high * 1.2), [f"{tick:g}" for tick in ticks])
            axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize="small", ncols=len(labels))
