"""The figures of the page, as data URIs of SVG, which is sharp on any screen."""

import base64
import io

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

from fkd.dataset_report.measurements import Quantity
from fkd.dataset_report.shapes import Shapes
from fkd.schema import KeypointSchema
from fkd.visualization.plots import COLOURS

_BINS = 40
_EDGE = 0.3  # percent of the values at either end that the outer bars contain
_MARKED = (5, 50, 95)
_FAINT = "#98a2b3"
_REACH = 2.0  # standard deviations
_WIDE, _NARROW, _TITLE = 5.2, 2.0, 0.25  # inches
_MARGIN = 0.08  # distances of the eyes


def histogram(quantity: Quantity) -> str:
    """A histogram with the 5th, 50th and 95th percentile; the outer bars contain the values beyond."""
    figure, axes = _plot(4.6)
    low, high = (quantity.percentile(share) for share in (_EDGE, 100 - _EDGE))
    if low == high:
        low, high = low - 0.5, high + 0.5
    values = np.clip(quantity.values, low, high)
    axes.hist(values, bins=_BINS, range=(low, high), histtype="stepfilled", color=COLOURS[0])
    axes.margins(y=0.18)
    for share in _MARKED:
        value = quantity.percentile(share)
        axes.axvline(value, color=COLOURS[1], linewidth=1.2, linestyle="-" if share == 50 else "--")
        axes.annotate(f" {share} %", (value, 1), xycoords=("data", "axes fraction"), va="top", color=COLOURS[1])
    axes.set(xlabel=f"{quantity.title.lower()} ({quantity.unit})", ylabel=quantity.of)
    return _svg(figure)


def images_per_subject(images_of: npt.NDArray[np.int64]) -> str:
    """A histogram of the subjects' numbers of images (S,)."""
    figure, axes = _plot(4.6)
    most = int(images_of.max())
    bins = min(most, 2 * _BINS)
    axes.hist(images_of, bins=bins, range=(0.5, most + 0.5), color=COLOURS[0], rwidth=0.9)
    axes.set(xlabel="images of a subject", ylabel="subjects")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure)


def visibility(visible: npt.NDArray[np.float64], schema: KeypointSchema) -> str:
    """The share of the faces on which each point (K,) is visible."""
    figure, axes = _plot(7.2)
    axes.bar(np.arange(len(visible)), 100 * visible, color=COLOURS[0])
    axes.set(xlabel=f"point of {schema.name}", ylabel="visible on faces (%)", ylim=(0, 100))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure)


def mean_shape(shapes: Shapes, schema: KeypointSchema) -> str:
    """The mean shape with its points numbered from 0."""
    figure, (axes,) = _panels(1, _WIDE, shapes.mean)
    _strokes(axes, shapes.mean, schema, _FAINT, 1.0)
    _dots(axes, shapes.mean, 9)
    for i, (point, (x, y)) in enumerate(zip(shapes.mean, _away(shapes.mean), strict=True)):
        offset = (6.5 * x, -6.5 * y)
        axes.annotate(str(i), point, offset, textcoords="offset points", ha="center", va="center", fontsize=6.5)
    return _svg(figure)


def spread(shapes: Shapes, schema: KeypointSchema) -> str:
    """Ellipses of 2 standard deviations of each point about the mean."""
    deviations = np.sqrt(np.diagonal(shapes.covariances, axis1=1, axis2=2))
    reached = np.concatenate([shapes.mean - _REACH * deviations, shapes.mean + _REACH * deviations])
    figure, (axes,) = _panels(1, _WIDE, reached)
    _strokes(axes, shapes.mean, schema, _FAINT, 1.0)
    look = {"facecolor": to_rgba(COLOURS[1], 0.08), "edgecolor": to_rgba(COLOURS[1], 0.6), "linewidth": 0.8}
    for point, covariance in zip(shapes.mean, shapes.covariances, strict=True):
        lengths, directions = np.linalg.eigh(covariance)
        width, height = 2 * _REACH * np.sqrt(np.maximum(lengths, 0))
        angle = float(np.degrees(np.arctan2(directions[1, 0], directions[0, 0])))
        axes.add_patch(Ellipse(tuple(point.tolist()), width, height, angle=angle, **look))
    _dots(axes, shapes.mean, 5)
    return _svg(figure)


def mode(shapes: Shapes, number: int, schema: KeypointSchema) -> str:
    """A principal mode: the mean shape, and the mean minus and plus 2 standard deviations."""
    reached = np.concatenate([shapes.mean + r * mode for r in (-_REACH, _REACH) for mode in shapes.modes])
    figure, panels = _panels(3, _NARROW, reached)  # the same axes for all modes, so that sizes can be compared
    for axes, reach, title in zip(panels, (-_REACH, 0.0, _REACH), ("−2 sd", "mean", "+2 sd"), strict=True):
        _strokes(axes, shapes.mean, schema, _FAINT, 0.8)
        moved = shapes.mean + reach * shapes.modes[number]
        _strokes(axes, moved, schema, COLOURS[0], 1.2)
        _dots(axes, moved, 3)
        axes.set_title(title, fontsize=9)
    return _svg(figure)


def _plot(width: float) -> tuple[Figure, Axes]:
    """Axes for bars, `width` inches with their labels; an automatic layout would take most of the time."""
    figure = Figure(figsize=(width, 2.5))
    axes = figure.add_subplot()
    figure.subplots_adjust(left=0.7 / width, right=0.99, bottom=0.19, top=0.98)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    return figure, axes


def _panels(columns: int, width: float, reached: npt.NDArray[np.float64]) -> tuple[Figure, list[Axes]]:
    """Panels without a frame, `width` inches each, for faces within points (M, 2), with y downwards."""
    low, high = reached.min(axis=0) - _MARGIN, reached.max(axis=0) + _MARGIN
    aspect = float((high - low)[1] / (high - low)[0])
    height = width * aspect + _TITLE
    figure = Figure(figsize=(width * columns, height))
    figure.subplots_adjust(0, 0, 1, 1 - _TITLE / height, wspace=0)
    panels = list(figure.subplots(1, columns, squeeze=False)[0])
    for axes in panels:
        axes.set_aspect("equal")
        axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
        axes.axis("off")
    return figure, panels


def _strokes(axes: Axes, points: npt.NDArray[np.float64], schema: KeypointSchema, colour: str, width: float) -> None:
    lines = [points[list(line)] for line in schema.lines]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=width))


def _away(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(K, 2) directions away from each point's neighbours, the nearest above all, for the number of the point."""
    differences = points[:, None] - points
    distances = np.linalg.norm(differences, axis=2, keepdims=True)
    pushes = (differences / np.maximum(distances, 1e-6) ** 4).sum(axis=1)
    nearest = np.partition(distances[..., 0], 1, axis=1)[:, 1:2]
    pushes = pushes * nearest**3 + (0.6, 0.0)  # to the right where pushes cancel, as along a straight line
    return np.asarray(pushes / np.maximum(np.linalg.norm(pushes, axis=1, keepdims=True), 1e-6))


def _dots(axes: Axes, points: npt.NDArray[np.float64], size: float) -> None:
    axes.scatter(points[:, 0], points[:, 1], size, color=COLOURS[0], zorder=3)


def _svg(figure: Figure) -> str:
    """The figure as a data URI, always the same for the same figure."""
    data = io.BytesIO()
    with rc_context({"svg.hashsalt": "fkd"}):
        figure.savefig(data, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(data.getvalue()).decode()}"
