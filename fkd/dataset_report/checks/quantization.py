"""Labels on a quantization grid: how coarse they are, and what error that leaves to the best of nets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.dataset_report.checks.finding import Finding
from fkd.dataset_report.checks.sampling import examples, published, sample
from fkd.terminal import progress

_MOST = 300  # faces whose eye distance is known; half of them are looked at
_WIDEST, _FINEST = 0.12, 0.02  # pitches looked for, as shares of the inter-ocular distance
_STEP = 0.2  # of frequencies, over the width of what is looked at: a peak is one such width wide
_NULLS = 4
_GRIDS = 1.0, 0.5, 0.25  # pixels: what files are rounded to
_LEAST_POINTS = 10
_NODES = (np.arange(16) + 0.5) / 16 - 0.5  # of a cell, for means over it

_Values = npt.NDArray[np.float64]


class Peak(NamedTuple):
    """The pitch that fits one axis of a face best."""

    pitch: float  # pixels
    strength: float  # 0: values spread evenly over its cell, 1: all at one place of it
    null: float  # the largest strength at any pitch, of the same values moved at random within a cell

    @property
    def is_there(self) -> bool:
        """Whether it stands out; by chance one in `_NULLS` + 1 does."""
        return self.strength > self.null


def quantization(faces: Faces) -> Finding | None:
    """The pitch on which the published points of a face lie, and the whole pixels that they are rounded to.

    A grid is looked for in each face on its own, in x and in y, among the half of the faces with the wider eyes:
    where points are rounded to pixels, a pitch of less than two pixels looks like another one.
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
    shares = np.array([peak.pitch for peak in peaks]) / np.repeat(distance[wide], 2)
    share = float(np.median(shares[there])) if is_quantized else 0.0
    floor = 100 * float(np.mean([cell_error(share * d, grid) / d for d in distance]))
    strengths = np.array([peak.strength for peak in peaks]).reshape(-1, 2).min(axis=1)
    return Finding(
        name="quantization",
        title="Labels on a quantization grid" if is_quantized else "Labels rounded to pixels",
        severity="warning" if is_quantized else "note",
        count=int(there.reshape(-1, 2).any(axis=1).sum()) if is_quantized else len(rows),
        total=len(wide) if is_quantized else len(rows),
        text=_text(share, float(there.mean()), grid, floor),
        advice=(
            "Take no error below this for skill, and try a loss that forgives a cell of the grid (loss=interval)."
            if is_quantized
            else "Nothing to do; take no error below this for skill."
        ),
        rows=examples(rows[wide], strengths) if is_quantized else (),
        figures={
            "pitch_share": share,
            "pitch_pixels": float(np.median([peak.pitch for peak, is_one in zip(peaks, there, strict=True) if is_one]))
            if is_quantized
            else 0.0,
            "faces_share": float(there.mean()),
            "grid_pixels": grid,
            "floor_nme": floor,
        },
    )


def pixel_grid(values: _Values) -> float:
    """The coarsest of 1, 1/2 and 1/4 pixels on whose multiples, plus any constant, values (M,) lie; 0 if on none."""
    return next((grid for grid in _GRIDS if _strength(values, np.array([1 / grid]))[0] > 0.99), 0.0)


def cell_error(*pitches: float) -> float:
    """Mean distance in pixels that points were moved by grids of these pitches, one after the other.

    Each takes them to the middle of its square cell, in which all places are as likely. For one pitch p it is the mean
    distance from the middle of a square of side p, p (sqrt 2 + asinh 1) / 6 = 0.3826 p: the mean over an eighth of the
    square, angles from 0 to pi/4, where the integral of r^2 dr up to r = p / (2 cos angle) is p^3 / (24 cos^3 angle),
    and that of 1 / cos^3 up to pi/4 is (sqrt 2 + asinh 1) / 2; eight times their product over p^2.
    """
    moves = np.zeros(1)
    for pitch in pitches:
        moves = np.add.outer(moves, pitch * _NODES).ravel()
    return float(np.hypot(moves[:, None], moves).mean())


def peak_of(values: _Values, distance: float, grid: float, rng: np.random.Generator) -> Peak:
    """The pitch that fits values (K,) in pixels best, by their periodogram.

    Args:
        values: one coordinate of a face's points.
        distance: between the eyes, in pixels; pitches are looked for from 2 to 12 % of it.
        grid: pixels that values are rounded to, or 0; twice that is the least pitch that can be told.
        rng: draws what the peak is compared with.
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
    """How well values (K,) lie on the grid of each frequency (F,): the length of their mean phase."""
    turns = frequencies[:, None] * values
    angles = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)  # in which numpy is many times faster
    return np.asarray(np.hypot(np.cos(angles).mean(axis=1), np.sin(angles).mean(axis=1)), np.float64)


def _peaks(points: _Values, visible: npt.NDArray[np.bool_], distance: _Values, grid: float) -> list[Peak]:
    """Of x and y of each face (N, K, 2), one after the other."""
    rng, peaks = np.random.default_rng(0), []
    with progress("Looking for a quantization grid", len(points)) as advance:
        for face, shown, eyes in zip(points, visible, distance.tolist(), strict=True):
            peaks += [peak_of(face[shown, axis], eyes, grid, rng) for axis in (0, 1)]
            advance()
    return peaks


def _text(share: float, found: float, grid: float, floor: float) -> str:
    pixels = {1.0: "whole pixels", 0.5: "half pixels", 0.25: "quarters of a pixel"}.get(grid, "")
    error = f"no net can honestly come below an NME of about {floor:.1f} % on them."
    if not share:
        return f"The points lie on {pixels}: {error}"
    top = f", and on {pixels} on top" if grid else ""
    return (
        f"The points of a face lie on a quantization grid of {share:.1%} of its inter-ocular distance"
        f" ({found:.0%} of the faces looked at, in x and y){top}: {error}"
    )
