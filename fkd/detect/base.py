"""What all detectors are, and what they do with boxes."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fkd.geometry import Jitter, adjust, square
from fkd.types import Image, Points

Scores = npt.NDArray[np.float32]
Finds = tuple[Points, Scores]
"""(N, 4) boxes and (N,) scores, best first."""


@dataclass(frozen=True)
class Correction:
    """From a detector's square boxes to the squares around the points, measured on training pictures.

    Attributes:
        scale: width of the points' square over that of the box.
        x, y: where its centre lies, in box widths to the right and down.
    """

    scale: float
    x: float
    y: float

    def __call__(self, boxes: Points) -> Points:
        return adjust(boxes, self.scale, self.x, self.y)


class Detector(Protocol):
    """Finds faces on a picture; may be called by several threads at once."""

    spread: Jitter
    """How its corrected squares spread about the squares around the points."""
    limit: float | None
    """Points found in its squares that look less like a face than this (see `fkd.shape`) are dropped; None: never."""

    def __call__(self, picture: Image, path: str | None = None) -> Finds:
        """Looks for faces.

        Args:
            picture: (H, W) grey or (H, W, 3) RGB.
            path: the file that the picture is from, if it is from one.

        Returns:
            (N, 4) corrected squares in photo pixels and (N,) scores, best first; higher is surer, NaN: no score.
        """
        ...


def ranked(boxes: Points, scores: Scores) -> Finds:
    """Best first; boxes without a score last."""
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    return boxes[order], scores[order]


def squared(boxes: Points) -> Points:
    """Squares about the centres of boxes (N, 4), as wide as their longest sides."""
    return square((boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1))


def iou(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """Intersection over union of one box (4,) with each of (N, 4)."""
    shared, area, areas = _areas(box, boxes)
    overlap: npt.NDArray[np.float32] = (shared / (area + areas - shared)).astype(np.float32)
    return overlap


def inside(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """How much of the smaller of two boxes lies in the other, for one box (4,) and each of (N, 4)."""
    shared, area, areas = _areas(box, boxes)
    share: npt.NDArray[np.float32] = (shared / np.minimum(area, areas)).astype(np.float32)
    return share


def _areas(box: Points, boxes: Points) -> tuple[Points, Points, Points]:
    """What a box shares with each of the others, its own area and theirs."""
    edges = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.clip(edges, 0, None).prod(axis=1), (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
