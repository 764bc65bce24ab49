"""Measure how a detector's boxes differ from the squares around the points: the numbers in `conf/detector`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.detect import Detections, Detector
from fkd.errors import UserError
from fkd.evaluation.matching import SAME_FACE, match, squares_of_faces
from fkd.geometry import Correction, Jitter
from fkd.terminal import progress
from fkd.types import Points

_ROUNDS = 5  # of matching boxes and measuring; the result converges earlier
_MIDDLE = 15.87, 84.13  # percentiles: one standard deviation of a normal distribution to both sides
_UNCORRECTED = Correction(1.0, 0.0, 0.0)


class Look(NamedTuple):
    """The boxes of a detector without correction on an image with F annotated faces."""

    boxes: Points  # (N, 4)
    scores: npt.NDArray[np.float32]  # (N,)
    faces: Points  # (F, 4) squares around their points, turned with them if the detector gives rolls
    subject: str  # of the first face


@dataclass(frozen=True)
class Calibration:
    """The measurements.

    Attributes:
        correction: from the detector's boxes to the squares around the points.
        jitter: spread of the corrected boxes, in widths of those squares.
        images: number of images.
        faces: number of annotated faces on them.
        missed: number of these faces without a corrected box.
        false: number of boxes on no annotated face; there may be a face that is not annotated.
        found_scores: of the boxes on faces.
        false_scores: of the other boxes.
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
    """Run a detector on every image of a subset, with a progress bar.

    Args:
        detector: must not correct its boxes.
        faces: annotated faces, without a label shift.
        subset: "train", "val", "test" or "all".
    """
    table = faces.subset(subset)
    images = np.unique(table.images)
    with progress("detecting faces", len(images)) as advance:
        for image in images:
            here = table.take(np.flatnonzero(table.images == image))
            boxes, scores, rolls = Detections(*detector(faces.images[int(image)], str(here.paths[0])))
            yield Look(boxes, scores, squares_of_faces(here, rolls), str(here.subjects[0]))
            advance()


def calibrate(looks: Sequence[Look]) -> Calibration:
    """Measure correction and jitter.

    They are medians, since a few boxes twice as wide as the face would change a mean; the jitter is half the width of
    the middle 68 %, which is the standard deviation of a normal distribution. At first each face is matched with the
    box that overlaps it most; then with the corrected box that does, if the overlap counts as found.

    Raises:
        UserError: fewer than ten faces have a box.
    """
    correction, least, none = _UNCORRECTED, 1e-6, np.empty((0, 4), np.float32)
    for _ in range(_ROUNDS):
        pairs = [match(each.faces, correction(each.boxes), least) for each in looks]
        faces = np.concatenate([none, *(e.faces[pair[:, 0]] for e, pair in zip(looks, pairs, strict=True))])
        boxes = np.concatenate([none, *(e.boxes[pair[:, 1]] for e, pair in zip(looks, pairs, strict=True))])
        if len(boxes) < 10:
            raise UserError(
                f"detector: expected boxes on ten faces or more, found {len(boxes)} on {len(looks)} images;"
                " change the detector's settings or give more data"
            )
        squares = _UNCORRECTED(boxes)
        width, side = _widths(squares), _widths(faces)
        x, y = np.median((_centres(faces) - _centres(squares)) / width[:, None], axis=0)
        correction, least = Correction(float(np.median(side / width)), float(x), float(y)), SAME_FACE
    corrected = correction(boxes)
    left = (_centres(corrected) - _centres(faces)) / side[:, None]
    jitter = Jitter(_sd(_widths(corrected) / side), _sd(left[:, 0]), _sd(left[:, 1]))
    on_face = [np.isin(np.arange(len(e.boxes)), match(e.faces, correction(e.boxes))[:, 1]) for e in looks]
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
    first = set(sorted({each.subject for each in looks})[::2])
    return [each for each in looks if each.subject in first], [each for each in looks if each.subject not in first]


def _widths(squares: Points) -> npt.NDArray[np.float64]:
    return (squares[:, 2] - squares[:, 0]).astype(np.float64)


def _centres(squares: Points) -> npt.NDArray[np.float64]:
    return (squares[:, :2] + squares[:, 2:]).astype(np.float64) / 2


def _sd(values: npt.NDArray[np.float64]) -> float:
    low, high = np.percentile(values, _MIDDLE)
    return float(high - low) / 2
