"""Detectors: a picture -> boxes of faces, corrected to the squares around the points that crops start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fkd.geometry import Jitter, adjust
from fkd.types import Image, Points


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
    """Finds faces on a picture."""

    spread: Jitter
    """How its corrected squares spread about the squares around the points."""

    def __call__(self, picture: Image) -> tuple[Points, npt.NDArray[np.float32]]:
        """(H, W) grey or (H, W, 3) RGB -> (N, 4) corrected squares in photo pixels and (N,) scores, best first."""
        ...


class Haar:
    """OpenCV's frontal face cascade (Viola and Jones, "Rapid Object Detection using a Boosted Cascade", CVPR 2001).

    Args:
        scale_factor: ratio of neighbouring sizes that are tried.
        neighbours: overlapping finds that make a face.
        min_size: smallest face, as a share of the picture's short side.
        correction: from the cascade's boxes to the squares around the points.
        spread: what the correction leaves.
    """

    def __init__(
        self, scale_factor: float, neighbours: int, min_size: float, correction: Correction, spread: Jitter
    ) -> None:
        self.scale_factor, self.neighbours, self.min_size = scale_factor, neighbours, min_size
        self.correction, self.spread = correction, spread
        cascades = Path(cv2.__file__).parent / "data"
        self._cascade = cv2.CascadeClassifier(str(cascades / "haarcascade_frontalface_default.xml"))

    def __call__(self, picture: Image) -> tuple[Points, npt.NDArray[np.float32]]:
        """(H, W) grey or (H, W, 3) RGB -> (N, 4) squares in photo pixels and (N,) scores, best first."""
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        smallest = max(int(self.min_size * min(grey.shape)), 20)
        found, _, weights = self._cascade.detectMultiScale3(
            grey, self.scale_factor, self.neighbours, minSize=(smallest, smallest), outputRejectLevels=True
        )
        if len(found) == 0:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        order = np.argsort(-np.ravel(weights))
        left, top, width, height = np.asarray(found, np.float32)[order].T
        # OpenCV's rectangles count whole pixels; the edge of the first pixel is at -0.5.
        boxes = np.stack([left, top, left + width, top + height], axis=1) - 0.5
        return self.correction(boxes.astype(np.float32)), np.ravel(weights)[order].astype(np.float32)


def iou(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """Intersection over union of one box (4,) with each of (N, 4)."""
    edges = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(edges, 0, None).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    overlap: npt.NDArray[np.float32] = (shared / (area + areas - shared)).astype(np.float32)
    return overlap
