"""Error curves, training curves and costs, drawn with matplotlib, which prediction does not load."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from fkd.io.atomic import whole_file

LIMIT = 10.0
"""The end of cumulative error curves, percent."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3d3d3d")
"""The colours of Okabe & Ito, which colour-blind people can distinguish, without yellow."""
_DASHES = ("-", "--", ":", "-.")
_NUMBERED = 10


def area(errors: npt.NDArray[np.floating]) -> float:
    """The area under the cumulative curve of errors (N,) up to the limit, 0 to 1.

    Exact for the step function (as in Yang et al., "An Empirical Study of Recent Face Alignment Methods", 2015,
    section 3), and the same as `fkd.metrics.auc`, which needs torch.
    """
    return float(np.maximum(LIMIT - errors, 0).mean() / LIMIT)


def steps(errors: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """The cumulative curve of errors (N,), M of them up to the limit, as steps.

    Returns:
        (M + 2,) errors in percent, from 0 to the limit; (M + 2,) percent of the faces up to each error.
    """
    inside = np.sort(errors[errors <= LIMIT])
    share = 100 * np.arange(len(inside) + 1) / len(errors)
    return np.concatenate([[0.0], inside, [LIMIT]]), np.append(share, share[-1])


def error_curve(errors: Mapping[str, npt.NDArray[np.floating]], path: Path) -> None:
    """Cumulative error curves as a PNG, the best one first in the legend, with areas and shares above the limit.

    Args:
        errors: name of the curve -> (N,) error of each face in percent; infinite for a missed face.
        path: the file, written atomically; its folder must exist.

    Raises:
        ValueError: a curve has no faces, or the error of a face is NaN.
    """
    for name, values in errors.items():
        if len(values) == 0 or np.isnan(values).any():
            raise ValueError(f"error_curve: {name}: expected one or more errors, found {len(values)} with NaN or none")
    styles = {name: _style(i) for i, name in enumerate(errors)}  # independent of the order in the legend
    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for name, values in sorted(errors.items(), key=lambda item: -area(item[1])):
        x, y = steps(values)
        label = f"{name}: AUC {area(values):.3f}, failures {100 - y[-1]:.1f} %"
        axes.step(x, y, where="post", label=label, linewidth=1.6, **styles[name])
    axes.set(xlabel="NME (inter-ocular, %)", ylabel="faces (%)", xlim=(0, LIMIT), ylim=(0, 100))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize="small", ncols=1)  # inside the axes it would cover curves
    figure.set_figheight(4.8 + 0.2 * len(errors))
    _save(figure, path)


def reliability(curves: Mapping[str, Sequence[Sequence[float]]], path: Path) -> None:
    """Mean true error over mean expected error as a PNG; on the diagonal the two agree.

    Args:
        curves: name -> the expected and the true error of each tenth of the points, percent of the eye distance.
        path: the file, written atomically; its folder must exist.
    """
    figure = Figure(figsize=(5.6, 5.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    every = np.concatenate([np.asarray(tenths, np.float64) for tenths in curves.values()])
    ends = np.maximum([every.min() / 1.2, every.max() * 1.2], [1e-3, 2e-3])
    axes.fill_between(ends, 0.8 * ends, 1.2 * ends, color=COLOURS[-1], alpha=0.12, label="within 20 %")
    axes.plot(ends, ends, color=COLOURS[-1], linewidth=0.8)
    for i, (name, tenths) in enumerate(curves.items()):
        axes.plot(*np.transpose(tenths), marker="o", markersize=4, linewidth=1.2, label=name, **_style(i))
    axes.set(xlabel="expected error (% of the eye distance)", ylabel="true error (%), mean of each tenth")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        _plain_numbers(axis, (1, 1.5, 2, 3, 4, 6, 8))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _save(figure, path)


def training_curves(curves: Mapping[str, Mapping[str, Mapping[int, float]]], path: Path) -> None:
    """Error and losses over epochs as a PNG, side by side; validation loss strong, training loss thin.

    Args:
        curves: name of a run -> logged name (`val/nme` in percent, `val/loss`, `train/loss`) -> epoch -> value.
        path: the file, written atomically; its folder must exist.
    """
    figure = Figure(figsize=(11, 4.4 + 0.2 * len(curves)), dpi=150, layout="constrained")
    errors, losses = figure.subplots(1, 2)
    for i, (name, logged) in enumerate(curves.items()):
        strong, thin = {"linewidth": 1.6}, {"linewidth": 0.8, "alpha": 0.6}
        lines = (errors, "val/nme", strong), (losses, "val/loss", strong), (losses, "train/loss", thin)
        for axes, key, weight in lines:
            if points := sorted(logged.get(key, {}).items()):
                x, y = zip(*points, strict=True)
                marker = "o" if len(points) == 1 else None
                label = name if axes is errors else None
                axes.plot(x, y, marker=marker, label=label, **weight, **_style(i))
    for axes, label in ((errors, "val/nme (inter-ocular, %)"), (losses, "loss (validation strong, training thin)")):
        axes.set(xlabel="epoch", ylabel=label, yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain_numbers(axes.yaxis, (1, 1.5, 2, 3, 4, 6, 8))
        axes.grid(alpha=0.3)
    if curves:
        figure.legend(loc="outside lower center", fontsize="small", ncols=1)
    _save(figure, path)


def cost(
    costs: Mapping[str, npt.NDArray[np.floating]],
    errors: npt.NDArray[np.floating],
    title: str,
    path: Path,
    names: Sequence[str] = (),
) -> None:
    """The costs of nets and their errors as a PNG: one panel for each kind of cost, on a logarithmic axis.

    The first nets are numbered, from 1.

    Args:
        costs: title of a cost -> (N,) cost of each net, NaN if it is unknown.
        errors: (N,) error of each net, best first.
        title: of the error, with its unit.
        path: the file, written atomically; its folder must exist.
        names: of the nets, listed below the panels with their numbers.
    """
    figure = Figure(figsize=(5.5 * len(costs), 4.4), dpi=150, layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(costs), squeeze=False)[0], costs.items(), strict=True):
        axes.scatter(values, errors, s=24, alpha=0.7)
        for i in np.flatnonzero(np.isfinite(values))[: max(_NUMBERED, len(names))]:
            axes.annotate(str(i + 1), (values[i], errors[i]), (4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlabel=name, ylabel=title, xscale="log")
        _plain_numbers(axes.xaxis, (1, 2, 5))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(alpha=0.3)
    if names:
        handles = [Line2D([], [], linestyle="", label=f"{i}  {name}") for i, name in enumerate(names, 1)]
        figure.legend(handles=handles, loc="outside lower center", fontsize="small", handlelength=0, alignment="left")
        figure.set_figheight(4.4 + 0.2 * len(names))
    _save(figure, path)


def bars(groups: Mapping[str, Mapping[str, tuple[float, float, float]]], strong: str, path: Path) -> None:
    """Panels of horizontal bars with quartiles as a PNG.

    Args:
        groups: title of a panel, with its unit -> name of a bar -> lower quartile, median, upper quartile.
        strong: bars whose names start with it have the strong colour.
        path: the file, written atomically; its folder must exist.
    """
    columns = 1 if len(groups) < 4 else 2
    lines, longest = math.ceil(len(groups) / columns), max(len(group) for group in groups.values())
    figure = Figure(figsize=(8 * columns, lines * (0.7 + 0.28 * longest)), dpi=120, layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, (title, group) in zip(panels, groups.items(), strict=False):
        low, median, high = np.array(list(group.values())).T
        colours = [COLOURS[0] if name.startswith(strong) else COLOURS[-1] for name in group]
        drawn = axes.barh(list(group), median, xerr=[median - low, high - median], color=colours, ecolor=COLOURS[1])
        labels = [f" {value:,.0f}" if value >= 100 else f" {value:.3g}" for value in median]
        axes.bar_label(drawn, labels=labels, fontsize=8)
        axes.set_title(title, loc="left", fontsize=10)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as file:
        figure.savefig(file, format="png")


def _style(number: int) -> dict[str, Any]:
    """The colour and dashes of a curve; after the last colour the first one follows with other dashes."""
    dash, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": _DASHES[dash % len(_DASHES)]}


def _plain_numbers(axis: Axis, steps: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers, at these multiples of powers of ten."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
