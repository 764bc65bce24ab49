"""What all detectors share: the protocol, and overlap of boxes."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fkd.geometry import Jitter, square
from fkd.types import Image, Points

Scores = npt.NDArray[np.float32]

BEYOND = 0.3
"""How far an image is continued beyond its edges, as a share of its short side."""
WIDEST = 20_000
"""Pixels of an image that can still be turned: OpenCV warps no more than 32,767, and the padding comes to these."""
_LEAST_INSIDE = 0.25  # of a box's area, or it is of a face in the mirror image alone


class Candidates(NamedTuple):
    """All boxes of an image that may be faces, for hiding them."""

    squares: Points  # (N, 4) of faces, corrected, photo pixels
    scores: Scores  # (N,)
    doubtful: Points = np.zeros((0, 4), np.float32)  # (M, 4) of what may be a face, corrected


class Detector(Protocol):
    """Finds faces on an image. Several threads may call it at once."""

    @property
    def jitter(self) -> Jitter:
        """How its corrected squares spread about the squares around the points."""

    @property
    def limit(self) -> float | None:
        """Greatest distance (`fkd.shape_model`) of a face's points from plausible shapes; None drops no face."""

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, Scores]:
        """Finds faces.

        Args:
            image: (H, W) grey or (H, W, 3) RGB.
            path: the file it is from, if it is from one.

        Returns:
            (N, 4) corrected squares in photo pixels and (N,) scores, best first; NaN from a detector that has none.
        """

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """Finds all that may be a face, those that the image's edge cuts, too; arguments as above."""


def best_first(boxes: Points, scores: Scores) -> tuple[Points, Scores]:
    """Boxes (N, 4) in the order of their scores (N,), those without a score last."""
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


def beyond_edges(
    find: Callable[[Image], tuple[Points, Scores]], image: Image, tilt: float = 0.0
) -> tuple[Points, Scores]:
    """What is found on an image that is continued beyond its edges by its mirror image, so that no face is cut.

    Args:
        find: gives squares (N, 4) and scores (N,) of an image.
        image: (H, W) grey or (H, W, 3) RGB, less than `WIDEST` wide and high if it is turned.
        tilt: the image is turned by so many degrees, counter-clockwise, before.

    Returns:
        Upright squares in pixels of the image, and scores; a square that hardly touches the image is left out.
    """
    height, width = image.shape[:2]
    pad = round(BEYOND * min(height, width))
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    size = (width + 2 * pad, height + 2 * pad)
    turn = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), tilt, 1)
    if tilt:
        padded = cv2.warpAffine(padded, turn, size, borderMode=cv2.BORDER_REFLECT_101)
    squares, scores = find(np.asarray(padded))
    back = cv2.invertAffineTransform(turn)
    centres = (squares[:, :2] + squares[:, 2:]) / 2 @ back[:, :2].T + back[:, 2] - pad
    squares = square(centres, squares[:, 2] - squares[:, 0])
    whole = np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)
    inside = _shared(whole, squares) >= _LEAST_INSIDE * _area(squares)
    return squares[inside], scores[inside]


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
