"""How a detector's boxes lie about the squares around the points: the numbers that `conf/detector` carries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.detect import Detector
from fkd.errors import UserError
from fkd.evaluation.matching import SAME_FACE, match
from fkd.geometry import Correction, Jitter, square_around
from fkd.terminal import progress
from fkd.types import Points

_ROUNDS = 5  # of choosing each face's box and measuring anew; they have settled before
_MIDDLE = 15.87, 84.13  # percentiles: one standard deviation of a normal distribution to both sides


class Look(NamedTuple):
    """What a detector without correction found on an image with F annotated faces."""

    boxes: Points  # (N, 4)
    scores: npt.NDArray[np.float32]  # (N,)
    faces: Points  # (F, 4) squares around their points
    subject: str  # of the first face


@dataclass(frozen=True)
class Calibration:
    """What was measured.

    Attributes:
        correction: from the detector's boxes to the squares around the points.
        jitter: what the correction leaves, in widths of those squares.
        images: how many were looked at.
        faces: how many are annotated on them.
        missed: how many of these have no corrected box.
        false: boxes that lie on no annotated face; it may be one that nobody annotated.
        found_scores: of the boxes on faces.
        false_scores: of the others.
    """

    correction: Correction
    jitter: Jitter
    images: int
    faces: int
    missed: int
    false: int
    found_scores: npt.NDArray[np.float32]
    false_scores: npt.NDArray[np.float32]


def look(detector: Detector, faces: Faces, subset: str) -> Iterator[Look]:
    """Shows a detector every image of a subset, with a progress bar.

    Args:
        detector: its boxes are taken as they come: let it correct nothing.
        faces: annotated faces; their points are at the true place.
        subset: "train", "val", "test" or "all".
    """
    table = faces.subset(subset)
    squares = square_around(table.keypoints)
    images, first = np.unique(table.images, return_index=True)
    with progress("detecting faces", len(images)) as advance:
        for image, row in zip(images, first, strict=True):
            boxes, scores = detector(faces.images[int(image)], str(table.paths[row]))
            yield Look(boxes, scores, squares[table.images == image], str(table.subjects[row]))
            advance()


def calibrate(looks: Sequence[Look]) -> Calibration:
    """Measures correction and jitter.

    Medians, because a few boxes twice as wide as the face would move a mean; likewise the jitter is half the width of
    the middle 68 %, which is the standard deviation where the numbers are normal. First each face takes the box that
    overlaps it most; then the one that does so when corrected, if it counts as found.

    Raises:
        UserError: fewer than ten faces have a box.
    """
    correction, least = Correction(1.0, 0.0, 0.0), 1e-6
    for _ in range(_ROUNDS):
        boxes, faces = _pairs(looks, correction, least)
        if len(boxes) < 10:
            raise UserError(
                f"detector: expected boxes on ten faces or more, found {len(boxes)} on {len(looks)} images;"
                " mend the detector's settings or give more data"
            )
        width, side = _widths(boxes), _widths(faces)
        x, y = np.median((_centres(faces) - _centres(boxes)) / width[:, None], axis=0)
        correction, least = Correction(float(np.median(side / width)), float(x), float(y)), SAME_FACE
    corrected = correction(boxes)
    left = (_centres(corrected) - _centres(faces)) / side[:, None]
    jitter = Jitter(_sd(_widths(corrected) / side), _sd(left[:, 0]), _sd(left[:, 1]))
    on_face = [np.isin(np.arange(len(each.boxes)), _matched(each, correction)[1]) for each in looks]
    scores, is_found = np.concatenate([each.scores for each in looks]), np.concatenate(on_face)
    count = sum(len(each.faces) for each in looks)
    return Calibration(
        correction=correction,
        jitter=jitter,
        images=len(looks),
        faces=count,
        missed=count - int(is_found.sum()),
        false=int((~is_found).sum()),
        found_scores=scores[is_found],
        false_scores=scores[~is_found],
    )


def halves(looks: Sequence[Look]) -> tuple[list[Look], list[Look]]:
    """Two parts that share no subject."""
    subjects = sorted({each.subject for each in looks})
    first = set(subjects[::2])
    return [each for each in looks if each.subject in first], [each for each in looks if each.subject not in first]


def _pairs(looks: Sequence[Look], correction: Correction, least: float) -> tuple[Points, Points]:
    """(M, 4) squares about the boxes that belong to a face, overlapping it at least so much once corrected, and its."""
    boxes, faces = [np.zeros((0, 4), np.float32)], [np.zeros((0, 4), np.float32)]
    for each in looks:
        rows, columns = _matched(each, correction, least)
        boxes.append(Correction(1.0, 0.0, 0.0)(each.boxes[columns]))
        faces.append(each.faces[rows])
    return np.concatenate(boxes), np.concatenate(faces)


def _matched(each: Look, correction: Correction, least: float = SAME_FACE) -> tuple[list[int], list[int]]:
    """Faces and their boxes, by number."""
    pairs = match(each.faces, correction(each.boxes), least) if len(each.boxes) else []
    return [face for face, _ in pairs], [box for _, box in pairs]


def _widths(squares: Points) -> npt.NDArray[np.float64]:
    return (squares[:, 2] - squares[:, 0]).astype(np.float64)


def _centres(squares: Points) -> npt.NDArray[np.float64]:
    return (squares[:, :2] + squares[:, 2:]).astype(np.float64) / 2


def _sd(values: npt.NDArray[np.float64]) -> float:
    low, high = np.percentile(values, _MIDDLE)
    return float(high - low) / 2
