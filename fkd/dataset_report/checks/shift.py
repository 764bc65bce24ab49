"""Labels shifted as a whole: to the right or left, by a mirror test; up or down, by a turn test."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import among
from fkd.dataset_report.checks.finding import Finding
from fkd.dataset_report.checks.net_predictions import answers
from fkd.dataset_report.checks.sampling import Mask, examples, sample
from fkd.inference.predictor import Net
from fkd.types import Points

_MOST = 800  # faces looked at
_LEAST = 30  # fewer give no line
_DEGREES = 8.0
"""Turns that a set of faces has anyway; the answers differ by 2 sin 8 degrees = 0.28 of the shift."""
_WORTH = 0.005  # of the inter-ocular distance: a smaller shift changes no figure
_SURE = 3.0  # standard errors
_OWN = 0.5  # of the faces show subjects that the net learned from: what it learned is of these labels

_Values = npt.NDArray[np.float64]


class Line(NamedTuple):
    """A shift as pixels and a share of the inter-ocular distance, with standard errors, and at the median distance."""

    pixels: float
    share: float
    median: float  # pixels
    pixels_error: float
    share_error: float
    median_error: float

    def is_there(self, distance: float) -> bool:
        """Whether it is surely there, and worth a word, at a median inter-ocular distance in pixels."""
        return abs(self.median) > max(_WORTH * distance, _SURE * self.median_error)

    def __str__(self) -> str:
        return f"{self.pixels:+.2f} px {100 * self.share:+.2f} % of the inter-ocular distance"


def shift(faces: Faces, net: Net, trained: Collection[str]) -> Finding | None:
    """How far the labels lie beside the true place, as a trained net tells.

    *To the right.* Let a net's answers lie `s` beside the true place, always to the same side of the image. On the
    mirror image it errs to the same side, so that its answer mirrored back lies `-s` beside the truth: half the
    difference of both is `s`, which the net learned from its labels, and their mean is at the true place, whatever the
    net learned. What these labels lie beside that mean is *their* shift: with any net, also one trained with mirrored
    copies, which has learned no shift.

    *Down.* On an image turned by an angle a about the middle of a face, the net errs by `(s, t)` in the frame of the
    turned image; turned back, by `s (cos a, -sin a) + t (sin a, cos a)`. Of the answers at a and at -a half the
    difference is `sin a (t, -s)`: its x tells t, and its y, once more, s. A shift that turns with the face, as of brows
    that somebody marks too low, is the same in both and does not count. This is what the net learned, from these labels
    or others. One that learned from turned copies has learned less of it: its s by turns (`turned_right`) then lies
    below its s by the mirror (`learned_right`), and t is about as much too small.
    """
    table = faces.table
    usable = np.flatnonzero(table.visible.any(axis=1) & (table.schema.interocular(table.keypoints) > 0))
    rows = sample(usable, _MOST)
    if len(rows) < _LEAST:
        return None
    labels, visible = table.keypoints[rows], table.visible[rows]
    distance = table.schema.interocular(labels).astype(np.float64)
    subjects = np.unique(table.subjects[rows], return_inverse=True)[1]
    plain = answers(net, faces, rows, "Asking the net")
    mirrored = answers(net, faces, rows, "The same, mirrored", mirrored=True)
    turned = [answers(net, faces, rows, "The same, turned", degrees=degrees) for degrees in (_DEGREES, -_DEGREES)]
    by_turns = learned_by_turns(turned[0], turned[1], visible, _DEGREES)
    shifts = {
        "right": mean_move(labels, (plain + mirrored) / np.float32(2), visible)[:, 0],
        "learned_right": mean_move(plain, mirrored, visible)[:, 0] / 2,
        "turned_right": by_turns[:, 0],
        "learned_down": by_turns[:, 1],
    }
    lines = {name: line(values, distance, subjects) for name, values in shifts.items()}
    learned_here = bool(among(table.subjects[rows], trained).mean() >= _OWN)
    return _finding(lines, float(np.median(distance)), examples(rows, distance), len(rows), learned_here)


def mean_move(points: npt.NDArray[np.floating], origin: npt.NDArray[np.floating], visible: Mask) -> _Values:
    """(N, 2) from points (N, K, 2) of origin to the other points, mean over the visible ones (N, K)."""
    moves = np.where(visible[..., None], points - origin.astype(np.float64), 0)
    return np.asarray(moves.sum(axis=1) / visible.sum(axis=1)[:, None])


def learned_by_turns(clockwise: Points, back: Points, visible: Mask, degrees: float) -> _Values:
    """(N, 2) the shift (s, t) by which a net errs in its image's frame, from answers on turned images; see `shift`.

    Args:
        clockwise: (N, K, 2) answers on images turned clockwise, turned back.
        back: the same of those turned as far the other way.
        visible: (N, K) points that count.
        degrees: of the turns.
    """
    half = mean_move(clockwise, back, visible) / (2 * math.sin(math.radians(degrees)))
    return np.stack([-half[:, 1], half[:, 0]], axis=1)


def line(values: _Values, distance: _Values, subjects: npt.NDArray[np.int64]) -> Line:
    """Least squares of values (N,) over distances (N,).

    Standard errors are those of subjects (N,) as clusters (Liang and Zeger, "Longitudinal data analysis using
    generalized linear models", Biometrika 73, 1986): the errors on a subject's faces are alike.
    """
    at_median = np.array([1, np.median(distance)])
    design = np.stack([np.ones_like(distance), distance], axis=1)
    inverse = np.linalg.pinv(design.T @ design)
    fitted = inverse @ design.T @ values
    scores = np.zeros((int(subjects.max()) + 1, 2))
    np.add.at(scores, subjects, design * (values - design @ fitted)[:, None])
    covariance = inverse @ (scores.T @ scores) @ inverse
    errors = np.sqrt([covariance[0, 0], covariance[1, 1], at_median @ covariance @ at_median])
    return Line(*map(float, (*fitted, at_median @ fitted, *errors)))


def _finding(lines: dict[str, Line], distance: float, rows: tuple[int, ...], total: int, learned_here: bool) -> Finding:
    right, learned, down = lines["right"], lines["learned_right"], lines["learned_down"]
    is_shifted = right.is_there(distance) or (learned_here and down.is_there(distance))
    whence = "" if learned_here else ", from other labels,"
    figures = {f"{name}_{key}": value for name, fit in lines.items() for key, value in fit._asdict().items()}
    return Finding(
        name="shift",
        title="Labels shifted as a whole" if is_shifted else "Labels not shifted as a whole",
        severity="warning" if is_shifted else "note",
        count=total if is_shifted else 0,
        total=total,
        text=(
            f"On the median face the labels lie {_said(right, 'right', 'left')} ({right}); the net has learned{whence}"
            f" {_said(learned, 'right', 'left')} ({learned}) and {_said(down, 'down', 'up')} ({down})."
        ),
        advice=(
            "Take the shift off where the labels are read, and put it back for scores. A net trained with mirrored"
            " copies has learned no shift to the side, one trained with turned copies only part of one up or down: ask"
            " one trained with augmentation=none."
            if is_shifted
            else "Nothing to do. A net trained with turned copies shows less of a shift up or down than there is."
        ),
        rows=rows if is_shifted else (),
        figures=figures,
    )


def _said(line: Line, positive: str, negative: str) -> str:
    return f"{abs(line.median):.2f} ± {line.median_error:.2f} px {positive if line.median > 0 else negative}"
