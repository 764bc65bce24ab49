"""The protocol of detectors, and overlap of boxes."""

from collections.abc import Callable
from typing import Annotated, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fkd.errors import UserError
from fkd.geometry import Jitter, square
from fkd.io.ranges import Within, check_arguments
from fkd.types import Image, Points

Scores = npt.NDArray[np.float32]
Limit = Annotated[float | None, Within(0, 1e6)]

PADDING = 0.3  # on each side of an image, as a share of its short side
WIDEST = 20_000  # pixels of an image that can be rotated: with its padding OpenCV warps at most 32,767
_LEAST_INSIDE = 0.25  # of a box's area; otherwise the face is only in the mirrored padding


class Detections(NamedTuple):
    """The faces of an image, best first: what a detector gives."""

    squares: Points  # (N, 4) corrected, photo pixels
    scores: Scores  # (N,); NaN if the detector has no scores
    rolls: Scores | None = None  # (N,) degrees, the heads are turned clockwise on the photo; None: all upright


class Candidates(NamedTuple):
    """All boxes of an image that may hold a face, for hiding faces."""

    squares: Points  # (N, 4) of faces, corrected, photo pixels
    scores: Scores  # (N,)
    doubtful: Points = np.zeros((0, 4), np.float32)  # (M, 4) of possible faces, corrected
    rolls: Scores | None = None  # (N,) as of `Detections`


class Detector(Protocol):
    """Finds faces on an image. Several threads may call it at once.

    A detector has a `correction`, too: from its boxes to the squares around the points.
    """

    @property
    def jitter(self) -> Jitter:
        """Differences of its corrected squares from the squares around the points."""

    @property
    def limit(self) -> float | None:
        """Largest distance (`fkd.shape_model`) of a face's points from plausible shapes; None drops no face."""

    def __call__(self, image: Image, path: str | None = None) -> Detections | tuple[Points, Scores]:
        """Finds faces.

        Args:
            image: (H, W) grey or (H, W, 3) RGB.
            path: the image's file, if it has one.

        Returns:
            The fields of `Detections`, without the last if it does not know how faces are turned. The square of a
            turned face is upright, about the same centre; its crop is that square turned by the roll.
        """

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """Finds all possible faces, also those at the image's edge; arguments as of a call."""


def check_values(detector: Detector) -> None:
    """Check a detector's own fields against their annotations.

    Raises:
        UserError: naming the key, what was expected and what was found.
    """
    try:
        check_arguments(type(detector), vars(detector), "detector")
    except ValueError as error:
        raise UserError(str(error)) from None


def best_first(boxes: Points, scores: Scores) -> tuple[Points, Scores]:
    """Boxes (N, 4) in the order of their scores (N,), those without a score last."""
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


def without_overlap(boxes: Points, scores: Scores, most: float) -> npt.NDArray[np.int64]:
    """The numbers, best first, of the boxes that overlap no better one by more than `most` (IoU)."""
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return np.asarray(cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), 0.0, most), np.int64).ravel()


def beyond_edges(find: Callable[[Image], tuple[Points, ...]], image: Image, tilt: float = 0.0) -> tuple[Points, ...]:
    """The faces of an image that is padded with its mirror image, so that no face is cut by an edge.

    Args:
        find: gives squares (N, 4) and other columns (N,), such as scores, of an image.
        image: (H, W) grey or (H, W, 3) RGB, at most `WIDEST` wide and high if it is rotated.
        tilt: rotation of the image before, in degrees, counter-clockwise.

    Returns:
        Upright squares in pixels of the image, and the other columns; squares mostly outside of the image are left out.
    """
    height, width = image.shape[:2]
    pad = round(PADDING * min(height, width))
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    size = (width + 2 * pad, height + 2 * pad)
    turn = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), tilt, 1)
    if tilt:
        padded = cv2.warpAffine(padded, turn, size, borderMode=cv2.BORDER_REFLECT_101)
    squares, *others = find(np.asarray(padded))
    back = cv2.invertAffineTransform(turn)
    centres = (squares[:, :2] + squares[:, 2:]) / 2 @ back[:, :2].T + back[:, 2] - pad
    squares = square(centres, squares[:, 2] - squares[:, 0])
    whole = np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)
    inside = _shared(whole, squares) >= _LEAST_INSIDE * _area(squares)
    return squares[inside], *(column[inside] for column in others)


def iou(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """Intersection over union of one box (4,) with each of (N, 4)."""
    shared = _shared(box, boxes)
    overlap: npt.NDArray[np.float32] = (shared / (_area(box) + _area(boxes) - shared)).astype(np.float32)
    return overlap


def coverage(box: Points, boxes: Points) -> npt.NDArray[np.float32]:
    """Intersection over the smaller area of one box (4,) and each of (N, 4)."""
    covered: npt.NDArray[np.float32] = (_shared(box, boxes) / np.minimum(_area(box), _area(boxes))).astype(np.float32)
    return covered


def _shared(box: Points, boxes: Points) -> npt.NDArray[np.floating]:
    edges = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.asarray(np.clip(edges, 0, None).prod(axis=1))


def _area(boxes: Points) -> npt.NDArray[np.floating]:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(axis=-1))
