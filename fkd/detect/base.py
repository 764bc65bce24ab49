"""What all detectors share: their form, and the way from their boxes to the squares that crops start from."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fkd.geometry import Jitter, adjust, square
from fkd.types import Image, Points

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Correction:
    """From a detector's boxes to the squares around the points, measured on training pictures.

    A box that is no square counts as the one about its centre that is as wide as its longer side.

    Attributes:
        scale: width of the points' square over that of the box.
        x, y: where its centre lies, in box widths to the right and down.
    """

    scale: float
    x: float
    y: float

    def __call__(self, boxes: Points) -> Points:
        """(N, 4) boxes -> (N, 4) squares."""
        low, high = boxes[..., :2], boxes[..., 2:]
        return adjust(square((low + high) / 2, (high - low).max(axis=-1)), self.scale, self.x, self.y)


class Detector(Protocol):
    """Finds faces on a picture. Several threads may call it at once."""

    @property
    def spread(self) -> Jitter:
        """How its corrected squares spread about the squares around the points."""

    @property
    def limit(self) -> float | None:
        """A face whose points look less like one than this is dropped (`fkd.shape`'s distance); None drops none."""

    def __call__(self, picture: Image, path: str | None = None) -> tuple[Points, Scores]:
        """Finds faces.

        Args:
            picture: (H, W) grey or (H, W, 3) RGB.
            path: the file it is from, if it is from one.

        Returns:
            (N, 4) corrected squares in photo pixels and (N,) scores, best first; NaN from a detector that has none.
        """


def best_first(boxes: Points, scores: Scores) -> tuple[Points, Scores]:
    """Boxes (N, 4) in the order of their scores (N,), those without a score last."""
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


def iou(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """Intersection over union of one box (4,) with each of (N, 4)."""
    shared = _shared(box, boxes)
    overlap: npt.NDArray[np.float32] = (shared / (_area(box) + _area(boxes) - shared)).astype(np.float32)
    return overlap


def coverage(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """How much of the smaller of two lies in the other, for one box (4,) and each of (N, 4)."""
    covered: npt.NDArray[np.float32] = (_shared(box, boxes) / np.minimum(_area(box), _area(boxes))).astype(np.float32)
    return covered


def _shared(box: Points, boxes: Points) -> npt.NDArray[np.floating]:
    edges = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.asarray(np.clip(edges, 0, None).prod(axis=1))


def _area(boxes: Points) -> npt.NDArray[np.floating]:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(axis=-1))
