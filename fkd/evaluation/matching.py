"""Assign detected boxes to faces."""

import numpy as np
import numpy.typing as npt

from fkd.detect.base import iou
from fkd.geometry import eye_rolls, square_around
from fkd.types import Annotations, Points

SAME_FACE = 0.3
"""Least overlap (IoU) of a corrected box with the square around the points to count as that face found."""


def squares_of_faces(table: Annotations, rolls: npt.NDArray[np.floating] | None) -> Points:
    """(N, 4) squares around the points of N faces, which a detector's boxes are compared with.

    Args:
        table: of the faces.
        rolls: that the detector gives; None if it knows none: then the squares are upright, else turned with the faces.
    """
    turned = None if rolls is None else eye_rolls(table.keypoints, table.schema)
    return square_around(table.keypoints, turned)


def match(squares: Points, boxes: Points, least: float = SAME_FACE) -> npt.NDArray[np.int64]:
    """Pairs of a face and its box, each at most once, those with the largest overlap first.

    Args:
        squares: (F, 4) around the points of the faces.
        boxes: (N, 4) corrected boxes of a detector.
        least: overlap (IoU) that a pair must have.

    Returns:
        (M, 2) the number of a face and that of its box.
    """
    pairs = []
    if len(squares) and len(boxes):
        overlaps = np.stack([iou(square, boxes) for square in squares])
        while overlaps.max() >= least:
            face, box = divmod(int(overlaps.argmax()), len(boxes))
            pairs.append((face, box))
            overlaps[face], overlaps[:, box] = -1, -1
    return np.array(pairs, np.int64).reshape(-1, 2)
