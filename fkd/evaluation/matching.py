"""Which found box belongs to which face."""

import numpy as np

from fkd.detect.base import iou
from fkd.types import Points

SAME_FACE = 0.3
"""Least overlap (IoU) of a corrected box with the square around the points to count as that face found."""


def match(squares: Points, boxes: Points, least: float = SAME_FACE) -> list[tuple[int, int]]:
    """Pairs of a face and the box that found it, each at most once, those that overlap most first.

    Args:
        squares: (F, 4) around the points of the faces.
        boxes: (N, 4) that a detector found, corrected.
        least: overlap (IoU) that a pair must have.
    """
    if not (len(squares) and len(boxes)):
        return []
    overlaps, pairs = np.stack([iou(square, boxes) for square in squares]), []
    while overlaps.max() >= least:
        face, box = divmod(int(overlaps.argmax()), len(boxes))
        pairs.append((face, box))
        overlaps[face], overlaps[:, box] = -1, -1
    return pairs
