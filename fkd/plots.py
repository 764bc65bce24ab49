"""Error curves, training curves and costs; apart from `fkd.draw`, since prediction has no need of matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from fkd.files import whole_file

_NUMBERED = 10


def error_curve(errors: Mapping[str, npt.NDArray[np.floating]], path: Path, limit: float = 10.0) -> None:
    """Cumulative error curves as a PNG, the best one first in the legend.

    The area under the curve is that of the exact step function, ``mean(max(0, limit - error)) / limit``, the failure
    rate the share of faces above the limit (as in Yang et al., "An Empirical Study of Recent Face Alignment Methods",
    2015, section 3).

    Args:
        errors: name of the curve -> (N,) error of each face in percent; a missed face has an infinite one.
        path: the file, replaced as a whole; its folder must exist.
        limit: the end of the axis, in percent.

    Raises:
        ValueError: a curve has no faces, or one whose error is not a number.
    """
    for name, values in errors.items():
        if len(values) == 0 or np.isnan(values).any():
            raise ValueError(f"error_curve: {name}: expected one or more errors, found {len(values)} with NaN or none")
    area = {name: float(np.maximum(limit - values, 0).mean() / limit) for name, values in errors.items()}
    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for i, name in enumerate(sorted(errors, key=lambda name: -area[name])):
        values = np.sort(errors[name])
        share = 100 * np.arange(1, len(values) + 1) / len(values)
        inside = values <= limit
        end = share[inside][-1] if inside.any() else 0.0
        label = f"{name}: AUC {area[name]:.3f}, failures {100 - end:.1f} %"
        x, y = np.concatenate([[0.0], values[inside], [limit]]), np.concatenate([[0.0], share[inside], [end]])
        colour = f"C{list(errors).index(name) % 10}"  # a curve keeps its colour whichever is best
        axes.step(
            x, y, where="post", label=label, color=colour, linestyle=("-", "--", ":", "-.")[i // 10 % 4], linewidth=1.6
        )
    axes.set(xlabel="NME (inter-ocular, %)", ylabel="faces (%)", xlim=(0, limit), ylim=(0, 100))
    axes.grid(alpha=0.3)
    if len(errors) > 6:  # more would cover the curves
        figure.legend(loc="outside lower center", fontsize="small", ncols=1)
        figure.set_figheight(4.8 + 0.2 * len(errors))
    else:
        axes.legend(loc="best", fontsize="small")
    with whole_file(path) as file:
        figure.savefig(file, format="png")


def training_curves(curves: Mapping[str, Mapping[str, Mapping[int, float]]], path: Path) -> None:
    """Error and losses over epochs as a PNG, side by side; the validation's loss solid, the training's dotted.

    Args:
        curves: name of a run -> logged name (`val/nme` in percent, `val/loss`, `train/loss`) -> epoch -> value.
        path: the file, replaced as a whole; its folder must exist.
    """
    figure = Figure(figsize=(11, 4.4 + 0.2 * len(curves)), dpi=150, layout="constrained")
    errors, losses = figure.subplots(1, 2)
    for i, (name, logged) in enumerate(curves.items()):
        for axes, key, style in ((errors, "val/nme", "-"), (losses, "val/loss", "-"), (losses, "train/loss", ":")):
            if points := sorted(logged.get(key, {}).items()):
                x, y = zip(*points, strict=True)
                marker = "o" if len(points) == 1 else None
                label = name if axes is errors else None
                axes.plot(x, y, style, marker=marker, color=f"C{i % 10}", label=label, linewidth=1.4)
    for axes, label in ((errors, "val/nme (inter-ocular, %)"), (losses, "loss (validation solid, training dotted)")):
        axes.set(xlabel="epoch", ylabel=label, yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain_numbers(axes.yaxis, (1, 1.5, 2, 3, 4, 6, 8))
        axes.grid(alpha=0.3)
    if curves:
        figure.legend(loc="outside lower center", fontsize="small", ncols=1)
    with whole_file(path) as file:
        figure.savefig(file, format="png")


def cost(
    costs: Mapping[str, npt.NDArray[np.floating]], errors: npt.NDArray[np.floating], title: str, path: Path
) -> None:
    """What nets cost against their error as a PNG: one panel for each kind of cost, on a logarithmic axis.

    The first of the nets carry their numbers, from 1.

    Args:
        costs: title of a cost -> (N,) cost of each net, NaN where it is not known.
        errors: (N,) error of each net, best first.
        title: of the error, with its unit.
        path: the file, replaced as a whole; its folder must exist.
    """
    figure = Figure(figsize=(5.5 * len(costs), 4.4), dpi=150, layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(costs), squeeze=False)[0], costs.items(), strict=True):
        axes.scatter(values, errors, s=24, alpha=0.7)
        for i in np.flatnonzero(np.isfinite(values))[:_NUMBERED]:
            axes.annotate(str(i + 1), (values[i], errors[i]), (4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlabel=name, ylabel=title, xscale="log")
        _plain_numbers(axes.xaxis, (1, 2, 5))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(alpha=0.3)
    with whole_file(path) as file:
        figure.savefig(file, format="png")


def _plain_numbers(axis: Axis, steps: Sequence[float]) -> None:
    """A logarithmic axis with ticks at these multiples of powers of ten, which matplotlib would write as powers."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
