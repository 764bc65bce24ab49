"""The one bridge between photo pixels and crop pixels."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt

from fkd.io.ranges import Scale, Within
from fkd.schema import KeypointSchema
from fkd.types import Image, Points

_WIDEST = 32_767
"""Largest width or height of a photo in pixels that OpenCV warps."""


Rolls = npt.NDArray[np.floating] | None
"""(...) the roll of each face: degrees by which the head is turned clockwise on the photo; None if all are upright."""


def square_around(keypoints: Points, rolls: Rolls = None) -> Points:
    """Smallest squares around points, with the centre of their box: (..., K, 2) -> (..., 4).

    With the rolls (...) of the faces they are the smallest ones once they are turned about their centres.
    """
    if rolls is not None:
        keypoints = (keypoints @ _turns(rolls)).astype(np.float32)  # upright, about the first pixel
    columns = np.ascontiguousarray(np.swapaxes(keypoints, -1, -2))  # numpy is fastest over the last axis
    low, high = columns.min(axis=-1), columns.max(axis=-1)
    return square(_turned((low + high) / 2, rolls), (high - low).max(axis=-1))


def eye_rolls(keypoints: npt.NDArray[np.floating], schema: KeypointSchema) -> npt.NDArray[np.float64]:
    """Degrees by which the line from the right to the left eye is turned clockwise: (..., K, 2) -> (...)."""
    right, left = (keypoints[..., list(eye), :].mean(axis=-2, dtype=np.float64) for eye in schema.eyes)
    return np.asarray(np.degrees(np.arctan2(left[..., 1] - right[..., 1], left[..., 0] - right[..., 0])))


def square(centre: npt.NDArray[np.floating], side: npt.NDArray[np.floating]) -> Points:
    """Square boxes (..., 4) from centres (..., 2) and sides (...)."""
    half = np.asarray(side)[..., None] / 2
    return np.concatenate([centre - half, centre + half], axis=-1).astype(np.float32)


Share = float | npt.NDArray[np.floating]
"""Share of a box's width: one for all boxes, or (...) one for each."""


def adjust(boxes: Points, scale: Share = 1.0, x: Share = 0.0, y: Share = 0.0, rolls: Rolls = None) -> Points:
    """Squares (..., 4) moved by shares x, y of their widths, then made `scale` times as wide.

    x is to the right and y down as the faces (...) with these rolls are turned.
    """
    side = boxes[..., 2] - boxes[..., 0]
    offset = _turned(np.stack(np.broadcast_arrays(x * side, y * side), axis=-1), rolls)
    return square((boxes[..., :2] + boxes[..., 2:]) / 2 + offset, side * np.asarray(scale))


def _turned(vectors: npt.NDArray[np.floating], rolls: Rolls) -> npt.NDArray[np.floating]:
    """Vectors (..., 2) of upright faces as those of faces with these rolls (...)."""
    if rolls is None:
        return vectors
    return np.asarray(np.einsum("...ij,...j->...i", _turns(rolls).astype(vectors.dtype), vectors))


def _turns(rolls: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Rotations (..., 2, 2) by rolls (...): an upright face's right and down become those of the face."""
    cos, sin = np.cos(turned := np.radians(np.asarray(rolls, np.float64))), np.sin(turned)
    return np.moveaxis(np.array([[cos, -sin], [sin, cos]]), (0, 1), (-2, -1))


_Offset = Annotated[float, Within(-100, 100)]
_Deviation = Annotated[float, Within(0, 10)]


@dataclass(frozen=True)
class Correction:
    """From a detector's boxes to the squares around the points, measured on training images.

    A box that is not square is first replaced by the square about its centre with its longer side.

    Attributes:
        scale: width of the points' square over that of the box.
        x, y: offset of its centre to the right and down, as the face is turned, in box widths.
    """

    scale: Scale
    x: _Offset
    y: _Offset

    def __call__(self, boxes: Points, rolls: Rolls = None) -> Points:
        """(N, 4) boxes of faces with these rolls (N,) -> (N, 4) squares."""
        low, high = boxes[..., :2], boxes[..., 2:]
        return adjust(square((low + high) / 2, (high - low).max(axis=-1)), self.scale, self.x, self.y, rolls)


@dataclass(frozen=True)
class Jitter:
    """Jitter of a detector's corrected boxes about the square around the points, in shares of that square's width.

    Attributes:
        scale: standard deviation of the width (about 1).
        x, y: standard deviation of the centre.
    """

    scale: _Deviation
    x: _Deviation
    y: _Deviation

    def __call__(self, boxes: Points, rng: np.random.Generator) -> Points:
        """Boxes (..., 4) with jitter; deviates are clipped to 2.5 standard deviations."""
        return self.by(boxes, rng.standard_normal((3, *boxes.shape[:-1])))

    def by(self, boxes: Points, deviates: npt.NDArray[np.floating]) -> Points:
        """The same with given standard normal deviates (3, ...) of the width, x and y."""
        scale, x, y = np.clip(deviates, -2.5, 2.5)
        return adjust(boxes, 1 + self.scale * scale, self.x * x, self.y * y)


@dataclass(frozen=True)
class Window:
    """From squares around points to the windows that are a net's input.

    Attributes:
        scale: width of the window over that of the square.
        y: offset of its centre down, as the face is turned, in widths of the square.
    """

    scale: Scale
    y: _Offset

    def __call__(self, squares: Points, rolls: Rolls = None) -> Points:
        return adjust(squares, self.scale, y=self.y, rolls=rolls)


@dataclass(frozen=True)
class Crop:
    """A square window on a photo, `size` pixels wide.

    Attributes:
        matrix: (2, 3) float32, photo pixels -> crop pixels.
        size: width and height of the crop in pixels.
    """

    matrix: npt.NDArray[np.float32]
    size: int

    @classmethod
    def from_box(cls, box: Points, size: int) -> "Crop":
        """The crop whose outer edges are the square box (left, top, right, bottom) in photo pixels.

        Raises:
            ValueError: the box is empty, not finite or not square.
        """
        return cls(crop_matrices(box, size), size)

    def image(self, photo: Image) -> Image:
        """The window's pixels, (size, size) or (size, size, 3); black where the photo ends."""
        return warp(photo, self.matrix, np.empty((self.size, self.size, *photo.shape[2:]), np.uint8))

    def points(self, keypoints: Points) -> Points:
        """Photo pixels -> crop pixels, (..., 2)."""
        return transform(keypoints, self.matrix)

    def inverse_points(self, keypoints: Points) -> Points:
        """Crop pixels -> photo pixels, (..., 2)."""
        return transform(keypoints, invert(self.matrix))


def crop_matrices(boxes: Points, size: int, rolls: Rolls = None) -> npt.NDArray[np.float32]:
    """(..., 2, 3) photo pixels -> pixels of crops whose outer edges are square boxes (..., 4) in photo pixels.

    With the rolls (...) of the faces the boxes are turned about their centres, so that faces are upright on the crops.

    Raises:
        ValueError: a box is empty, not finite or not square.
    """
    left, top, right, bottom = np.moveaxis(np.asarray(boxes, np.float64), -1, 0)
    wide, high = right - left, bottom - top
    rounded = 2**-21 * np.abs(boxes).max(axis=-1)  # float32 edges far from the first pixel
    fits = np.isfinite(boxes).all(axis=-1) & (wide > 0) & (np.abs(wide - high) <= 1e-3 * high + rounded)
    if not fits.all():
        bad = np.asarray(boxes)[~fits].reshape(-1, 4)[0]
        raise ValueError(f"box: expected finite edges of a square, left < right, found {bad.tolist()}")
    scale, zero = size / wide, np.zeros_like(wide)
    # A crop's pixel centres run from 0 to size - 1, its edges from -0.5 to size - 0.5.
    rows = [[scale, zero, -left * scale - 0.5], [zero, scale, -top * scale - 0.5]]
    matrices = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    if rolls is not None:
        upright, centre = np.swapaxes(_turns(rolls), -1, -2), np.full((2, 1), (size - 1) / 2)
        matrices = affine_after(np.concatenate([upright, centre - upright @ centre], axis=-1), matrices)
    return matrices.astype(np.float32)


def warp(photo: Image, matrix: npt.NDArray[np.floating], out: Image) -> Image:
    """Fill `out`, (S, S) or (S, S, 3), with a window of a photo; black where the photo ends.

    Args:
        photo: (H, W) or (H, W, 3).
        matrix: (2, 3), photo pixels -> pixels of `out`.
        out: the array to fill, which is returned.

    Raises:
        ValueError: photo and `out` differ in their channels; OpenCV would not fill `out`.
    """
    if photo.shape[2:] != out.shape[2:]:
        raise ValueError(f"expected a photo with the crop's channels {out.shape[2:]}, found {photo.shape[2:]}")
    # Bilinear sampling skips pixels below half size: shrink by whole factors with area averaging first.
    factor = max(int(1 / max(math.hypot(matrix[0, 0], matrix[1, 0]), 1e-6) + 1e-3), 1)
    if factor >= 2 or max(photo.shape) > _WIDEST:
        photo, matrix = _shrunk(photo, matrix, factor, len(out))
    size = (out.shape[1], out.shape[0])
    return cv2.warpAffine(photo, matrix, size, dst=out, flags=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _shrunk(
    photo: Image, matrix: npt.NDArray[np.floating], factor: int, size: int
) -> tuple[Image, npt.NDArray[np.float64]]:
    """The part of a photo about the window, shrunk by a whole factor, and the matrix from its pixels."""
    left, top, right, bottom = _near(photo, matrix, factor, size)
    photo = photo[top:bottom, left:right]
    # the matrix with photo = ratio * (small + 0.5) - 0.5 + corner inserted
    x_ratio = y_ratio = 1.0
    if factor >= 2:
        height, width = photo.shape[:2]
        small = (max(width // factor, 1), max(height // factor, 1))
        photo = cv2.resize(photo, small, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        x_ratio, y_ratio = width / small[0], height / small[1]
    x, y = left + 0.5 * x_ratio - 0.5, top + 0.5 * y_ratio - 0.5
    moved = [(a * x_ratio, b * y_ratio, a * x + b * y + t) for a, b, t in matrix.tolist()]
    return photo, np.array(moved, np.float64)


def _near(photo: Image, matrix: npt.NDArray[np.floating], factor: int, size: int) -> tuple[int, int, int, int]:
    """The part of a photo about the window: left, top, right, bottom; left and top are multiples of `factor`."""
    (a, b, x), (c, d, y) = matrix.tolist()  # Python's floats: numpy is slow for a few numbers
    ends = (-0.5 - x, size - 0.5 - x), (-0.5 - y, size - 0.5 - y)
    det, corners = a * d - b * c, list(product(*ends))
    reached = [(d * u - b * v) / det for u, v in corners], [(a * v - c * u) / det for u, v in corners]
    part = []
    for places, extent in zip(reached, photo.shape[1::-1], strict=True):
        low = (math.floor(min(places)) - 2 * factor) // factor * factor
        low = min(max(low, 0), (extent - 1) // factor * factor)
        high = (math.ceil(max(places)) + 2 * factor) // factor * factor + factor
        part.append((low, min(max(high, low + 1), extent)))
    (left, right), (top, bottom) = part
    return left, top, right, bottom


def crop_images(photos: Iterable[Image], matrices: npt.NDArray[np.floating], size: int) -> Image:
    """Crops (N, size, size) or (N, size, size, 3), one of each photo; black where it ends.

    Args:
        photos: N, (H, W) or (H, W, 3), at least one.
        matrices: (N, 2, 3), pixels of each photo -> pixels of its crop.
        size: width and height of the crops in pixels.

    Raises:
        ValueError: photos differ in their channels.
    """
    crops = np.empty(0, np.uint8)
    for i, (photo, matrix) in enumerate(zip(photos, matrices, strict=True)):
        if i == 0:
            crops = np.empty((len(matrices), size, size, *photo.shape[2:]), np.uint8)
        warp(photo, matrix, crops[i])
    return crops


def channels_first(images: Image) -> Image:
    """A view of (N, S, S) or (N, S, S, C) as (N, C, S, S)."""
    return np.moveaxis(images if images.ndim == 4 else images[..., None], -1, 1)


def transform(points: Points, matrix: npt.NDArray[np.floating]) -> Points:
    """Points (..., 2) through affine matrices (..., 2, 3) that broadcast against all but the points' last two axes."""
    moved = points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return (moved[0] if points.ndim == 1 else moved).astype(np.float32)


def similarity(
    source: npt.NDArray[np.floating], target: npt.NDArray[np.floating], weights: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.float64]:
    """Similarities (..., 2, 3), rotation, scale and shift, from points to others by least squares.

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns", PAMI 13(4), 1991,
    section III, without mirroring; in the plane, rotation and scale are one complex factor.

    Args:
        source, target: (..., K, 2) points, which broadcast against each other.
        weights: (..., K) of each pair, such as whether it is known; None for equal ones.

    Returns:
        NaN where all points coincide.
    """
    start, stop = (np.ascontiguousarray(p, np.float64).view(np.complex128)[..., 0] for p in (source, target))
    if weights is None:
        centre, there = start.mean(axis=-1), stop.mean(axis=-1)
        around = weighted = start - centre[..., None]
    else:
        total, stop = weights.sum(axis=-1), np.where(weights > 0, stop, 0)
        centre, there = (weights * start).sum(axis=-1) / total, (weights * stop).sum(axis=-1) / total
        around = start - centre[..., None]
        weighted = weights * around
    factor = np.vecdot(weighted, stop - there[..., None]) / np.vecdot(weighted, around)
    shift = there - factor * centre
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def affine_after(second: npt.NDArray[np.floating], first: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The affine matrices (..., 2, 3) of `first` followed by `second`."""
    linear = second[..., :2] @ first
    return np.concatenate([linear[..., :2], linear[..., 2:] + second[..., 2:]], axis=-1)


def invert(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The inverse affine matrices (..., 2, 3)."""
    linear = np.linalg.inv(matrix[..., :2].astype(np.float64))
    offset = -linear @ matrix[..., 2:].astype(np.float64)
    return np.concatenate([linear, offset], axis=-1)
