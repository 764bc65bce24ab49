"""A shift of all labels: to the right or left, by predictions on mirrored images; up or down, on turned images."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows, among
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.net_predictions import predictions, usable_rows
from fkd.dataset_report.checks.sampling import Mask, sample
from fkd.inference.predictor import Net
from fkd.types import Points

_MOST = 800  # faces
_LEAST = 30  # faces that a line can be fitted to
_DEGREES = 8.0
"""Heads are often turned as far; the predictions differ by 2 sin 8 degrees = 0.28 of the shift."""
_WORTH = 0.005  # of the inter-ocular distance: a smaller shift changes no score
_SURE = 3.0  # standard errors
_OWN = 0.5  # share of the faces whose subjects the net was trained on, above which it learned from these labels

_SHIFTED = Kind(
    "shift",
    "Labels shifted as a whole",
    "warning",
    "Subtract the shift where the labels are read, and add it again for scores. A net trained with mirrored copies has"
    " learned no shift to the side, one trained with turned copies only part of a shift up or down: use a net trained"
    " with augmentation=none.",
)
_NOT_SHIFTED = Kind(
    "shift",
    "Labels not shifted as a whole",
    "note",
    "Nothing to do. A net trained with turned copies shows less of a shift up or down than there is.",
)

_Values = npt.NDArray[np.float64]


class Line(NamedTuple):
    """A shift as pixels plus a share of the inter-ocular distance, its sum at the median distance, standard errors."""

    pixels: float
    share: float
    median: float  # pixels
    pixels_error: float
    share_error: float
    median_error: float

    def is_there(self, distance: float) -> bool:
        """Whether the shift is significant and large enough to matter, at a median inter-ocular distance in pixels."""
        return abs(self.median) > max(_WORTH * distance, _SURE * self.median_error)

    def __str__(self) -> str:
        return f"{self.pixels:+.2f} px {100 * self.share:+.2f} % of the inter-ocular distance"


def shift(faces: Faces, net: Net, trained: Collection[str]) -> Finding | None:
    """The shift of the labels from the true place, estimated with a trained net.

    *To the right.* Let a net's predictions lie `s` to the right of the true place, on every image. On the mirror image
    they lie to the right as well, so that mirrored back they lie `-s` from the truth: half the difference of both is
    `s`, which the net learned from its training labels, and their mean is the true place, whatever the net learned. The
    distance of these labels from that mean is *their* shift. This holds for any net, also for one trained with mirrored
    copies, which has learned no shift.

    *Down.* On an image turned by an angle a about the middle of a face, the net errs by `(s, t)` in the frame of the
    turned image; turned back, by `s (cos a, -sin a) + t (sin a, cos a)`. Half the difference of the predictions at a
    and at -a is `sin a (t, -s)`: its x gives t, and its y gives s again. A shift that turns with the face, e.g. of
    brows labelled too low, is the same in both and cancels. This is the shift that the net learned, from these labels
    or others. A net trained with turned copies has learned less of it: its s from turns (`turned_right`) is smaller
    than its s from mirroring (`learned_right`), and t is too small by about the same factor.
    """
    table = faces.table
    rows = sample(usable_rows(faces), _MOST)
    if len(rows) < _LEAST:
        return None
    labels, visible = table.keypoints[rows], table.visible[rows]
    distance = table.schema.interocular(labels).astype(np.float64)
    subjects = np.unique(table.subjects[rows], return_inverse=True)[1]
    plain = predictions(net, faces, rows, "Predicting keypoints")
    mirrored = predictions(net, faces, rows, "Predicting on mirror images", mirrored=True)
    clockwise = predictions(net, faces, rows, "Predicting on turned images", degrees=_DEGREES)
    back = predictions(net, faces, rows, "Predicting on turned images", degrees=-_DEGREES)
    by_turns = learned_by_turns(clockwise, back, visible, _DEGREES)
    shifts = {
        "right": mean_move(labels, (plain + mirrored) / np.float32(2), visible)[:, 0],
        "learned_right": mean_move(plain, mirrored, visible)[:, 0] / 2,
        "turned_right": by_turns[:, 0],
        "learned_down": by_turns[:, 1],
    }
    lines = {name: line(values, distance, subjects) for name, values in shifts.items()}
    learned_here = bool(among(table.subjects[rows], trained).mean() >= _OWN)
    return _finding(lines, float(np.median(distance)), rows, distance, learned_here)


def mean_move(points: npt.NDArray[np.floating], origin: npt.NDArray[np.floating], visible: Mask) -> _Values:
    """(N, 2) the mean move from points `origin` to `points` (N, K, 2), over the visible ones (N, K)."""
    moves = np.where(visible[..., None], points - origin.astype(np.float64), 0)
    return np.asarray(moves.sum(axis=1) / visible.sum(axis=1)[:, None])


def learned_by_turns(clockwise: Points, back: Points, visible: Mask, degrees: float) -> _Values:
    """(N, 2) the error (s, t) of a net in the frame of its input, from predictions on turned images; see `shift`.

    Args:
        clockwise: (N, K, 2) predictions on images turned clockwise, turned back.
        back: the same for images turned counterclockwise.
        visible: (N, K) points that count.
        degrees: angle of the turns.
    """
    half = mean_move(clockwise, back, visible) / (2 * math.sin(math.radians(degrees)))
    return np.stack([-half[:, 1], half[:, 0]], axis=1)


def line(values: _Values, distance: _Values, subjects: npt.NDArray[np.int64]) -> Line:
    """The least-squares line of values (N,) over distances (N,).

    Standard errors treat subjects (N,) as clusters (Liang and Zeger, "Longitudinal data analysis using
    generalized linear models", Biometrika 73, 1986), since errors on faces of one subject are alike.
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


def _finding(lines: dict[str, Line], distance: float, rows: Rows, order: _Values, learned_here: bool) -> Finding:
    right, learned, down = lines["right"], lines["learned_right"], lines["learned_down"]
    is_shifted = right.is_there(distance) or (learned_here and down.is_there(distance))
    origin = "" if learned_here else ", from other labels,"
    text = (
        f"On the median face the labels lie {_text(right, 'right', 'left')} ({right}); the net has learned{origin}"
        f" {_text(learned, 'right', 'left')} ({learned}) and {_text(down, 'down', 'up')} ({down})."
    )
    figures = {f"{name}_{key}": value for name, fit in lines.items() for key, value in fit._asdict().items()}
    if not is_shifted:
        return _NOT_SHIFTED.finding(text, len(rows), rows[:0], count=0, figures=figures)
    return _SHIFTED.finding(text, len(rows), rows, order, figures=figures)


def _text(line: Line, positive: str, negative: str) -> str:
    return f"{abs(line.median):.2f} ± {line.median_error:.2f} px {positive if line.median > 0 else negative}"
