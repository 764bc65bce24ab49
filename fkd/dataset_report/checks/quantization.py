"""Labels on a quantization grid: its pitch, and the error that it causes for any net."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.sampling import published, sample
from fkd.terminal import progress

_MOST = 300  # faces; pitches are measured on half of them
_WIDEST, _FINEST = 0.12, 0.02  # pitches that are tried, as shares of the inter-ocular distance
_STEP = 0.2  # of frequencies, as a share of 1 / (width of the values), which is the width of a peak
_NULLS = 4
_GRIDS = 1.0, 0.5, 0.25  # pixels to which files round
_LEAST_POINTS = 10
_NODES = (np.arange(16) + 0.5) / 16 - 0.5  # of a cell, for means over it

_QUANTIZED = Kind(
    "quantization",
    "Labels on a quantization grid",
    "warning",
    "An NME below this is no skill of the net; try a loss that ignores errors within a cell (loss=interval).",
)
_ROUNDED = Kind(
    "quantization", "Labels rounded to pixels", "note", "Nothing to do; an NME below this is no skill of the net."
)

_Values = npt.NDArray[np.float64]


class Peak(NamedTuple):
    """The pitch that fits one axis of a face best."""

    pitch: float  # pixels
    strength: float  # 0: values are spread evenly over a cell, 1: all are at the same place of a cell
    null: float  # the largest strength at any pitch, of the same values moved at random within a cell

    @property
    def is_there(self) -> bool:
        """Whether the peak is above chance; without a grid one in `_NULLS` + 1 peaks is."""
        return self.strength > self.null


def quantization(faces: Faces) -> Finding | None:
    """The pitch of the grid on which the published points of a face lie, and the pixels to which they are rounded.

    Each face has its own grid, in x and in y. It is measured on the half of the faces with the larger inter-ocular
    distance: after rounding to pixels, a pitch of less than two pixels cannot be distinguished from others.
    """
    table = faces.table
    enough = np.flatnonzero(table.visible.sum(axis=1) >= _LEAST_POINTS)
    rows = sample(enough, _MOST)
    points = published(table, rows)
    distance: _Values = table.schema.interocular(points)
    known = distance > 0
    rows, points, distance = rows[known], points[known], distance[known]
    if not len(rows):
        return None
    visible = table.visible[rows]
    grid = pixel_grid(points[visible].ravel())
    wide = np.flatnonzero(distance >= np.median(distance))
    peaks = _peaks(points[wide], visible[wide], distance[wide], grid)
    there = np.array([peak.is_there for peak in peaks])
    is_quantized = there.mean() > 0.5
    if not is_quantized and not grid:
        return None
    pitches = np.array([peak.pitch for peak in peaks])
    share = float(np.median((pitches / np.repeat(distance[wide], 2))[there])) if is_quantized else 0.0
    floor = 100 * float(np.mean([cell_error(share * d, grid) / d for d in distance]))
    text = _text(share, float(there.mean()), grid, floor)
    figures = {
        "pitch_share": share,
        "pitch_pixels": float(np.median(pitches[there])) if is_quantized else 0.0,
        "faces_share": float(there.mean()),
        "grid_pixels": grid,
        "floor_nme": floor,
    }
    if not is_quantized:
        return _ROUNDED.finding(text, len(rows), rows[:0], count=len(rows), figures=figures)
    strengths = np.array([peak.strength for peak in peaks]).reshape(-1, 2).min(axis=1)
    count = int(there.reshape(-1, 2).any(axis=1).sum())
    return _QUANTIZED.finding(text, len(wide), rows[wide], strengths, count=count, figures=figures)


def pixel_grid(values: _Values) -> float:
    """The coarsest of 1, 1/2 and 1/4 pixels of which values (M,) are multiples plus a constant; 0 if none is."""
    return next((grid for grid in _GRIDS if _strength(values, np.array([1 / grid]))[0] > 0.99), 0.0)


def cell_error(*pitches: float) -> float:
    """The mean distance in pixels by which grids of these pitches, one after the other, move points.

    Each grid moves a point to the centre of its square cell, in which the point is uniformly distributed. For one pitch
    p this is the mean distance from the centre of a square of side p, p (sqrt 2 + asinh 1) / 6 = 0.3826 p: eight times
    the integral over an eighth of the square, angles from 0 to pi/4, over p^2, where the integral of r^2 dr up to
    r = p / (2 cos angle) is p^3 / (24 cos^3 angle) and that of 1 / cos^3 is (sqrt 2 + asinh 1) / 2.
    """
    moves = np.zeros(1)
    for pitch in pitches:
        moves = np.add.outer(moves, pitch * _NODES).ravel()
    return float(np.hypot(moves[:, None], moves).mean())


def peak_of(values: _Values, distance: float, grid: float, rng: np.random.Generator) -> Peak:
    """The pitch that fits values (K,) in pixels best, by their periodogram.

    Args:
        values: one coordinate of a face's points.
        distance: inter-ocular distance in pixels; pitches from 2 to 12 % of it are tried.
        grid: pixels to which values are rounded, or 0; twice that is the smallest pitch that can be measured.
        rng: for the random values that the peak is compared with.
    """
    width = max(float(np.ptp(values)), distance)
    finest = max(_FINEST * distance, 2 * grid)
    if finest >= _WIDEST * distance:
        return Peak(finest, 0.0, 0.0)
    frequencies = np.arange(1 / (_WIDEST * distance), 1 / finest, _STEP / width)
    strengths = _strength(values, frequencies)
    best = int(strengths.argmax())
    pitch = float(1 / frequencies[best])
    moved = values + pitch * rng.uniform(-0.5, 0.5, (_NULLS, len(values)))
    return Peak(pitch, float(strengths[best]), max(float(_strength(each, frequencies).max()) for each in moved))


def _strength(values: _Values, frequencies: _Values) -> _Values:
    """(F,) how well values (K,) lie on the grid of each frequency (F,): the length of their mean phase vector."""
    turns = frequencies[:, None] * values
    angles = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)  # many times faster than float64
    return np.asarray(np.hypot(np.cos(angles).mean(axis=1), np.sin(angles).mean(axis=1)), np.float64)


def _peaks(points: _Values, visible: npt.NDArray[np.bool_], distance: _Values, grid: float) -> list[Peak]:
    """The peaks of x and y of each face (N, K, 2), in turn."""
    rng, peaks = np.random.default_rng(0), []
    with progress("Measuring quantization grids", len(points)) as advance:
        for face, shown, eyes in zip(points, visible, distance.tolist(), strict=True):
            peaks += [peak_of(face[shown, axis], eyes, grid, rng) for axis in (0, 1)]
            advance()
    return peaks


def _text(share: float, found: float, grid: float, floor: float) -> str:
    pixels = {1.0: "whole pixels", 0.5: "half pixels", 0.25: "quarters of a pixel"}.get(grid, "")
    error = f"no net can reach an NME below about {floor:.1f} % on them except by chance."
    if not share:
        return f"The points lie on {pixels}: {error}"
    top = f", and on {pixels} on top" if grid else ""
    return (
        f"The points of a face lie on a quantization grid of {share:.1%} of its inter-ocular distance"
        f" ({found:.0%} of the faces measured, in x and y){top}: {error}"
    )
