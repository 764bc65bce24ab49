"""What all detectors share: the protocol, and overlap of boxes."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from fkd.geometry import Jitter
from fkd.types import Image, Points

Scores = npt.NDArray[np.float32]


class Detector(Protocol):
    """Finds faces on a picture. Several threads may call it at once."""

    @property
    def jitter(self) -> Jitter:
        """How its corrected squares spread about the squares around the points."""

    @property
    def limit(self) -> float | None:
        """Greatest distance (`fkd.shape_model`) of a face's points from plausible shapes; None drops no face."""

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
