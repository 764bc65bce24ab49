"""Assign detected boxes to faces."""

import numpy as np
import numpy.typing as npt

from fkd.detect.base import iou
from fkd.types import Points

SAME_FACE = 0.3
"""Least overlap (IoU) of a corrected box with the square around the points to count as that face found."""


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
