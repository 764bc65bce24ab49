"""Images blended over images: plane maps fitted to points, and alpha blending."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from fkd import geometry
from fkd.types import Image

Floats = npt.NDArray[np.floating]
Texture = npt.NDArray[np.float32]
"""(h, w, 4): RGB times alpha, and alpha, 0 to 255, so that averages with transparent pixels keep their colour."""

_FLAT = 0.01  # least ratio of the smaller to the larger principal spread of points that are not on one line
_TILE = 1024  # pixels painted at once: float images of a large photo need much memory, and OpenCV warps up to 2**15


def paint(photo: Image, texture: Texture, matrix: Floats) -> None:
    """Blend a texture over a photo, in place.

    Args:
        photo: (H, W, 3) RGB.
        texture: (h, w, 4).
        matrix: (3, 3) texture pixels -> photo pixels; its horizon must not cross the texture.
    """
    texture, matrix = _shrunk(texture, matrix)
    height, width = texture.shape[:2]
    # A texture fades out from the centres of its outermost pixels to one pixel beyond.
    outline = mapped(np.array([[-1, -1], [width, -1], [width, height], [-1, height]]), matrix)
    size = photo.shape[1::-1]
    left, top = np.clip(np.floor(outline.min(axis=0)), 0, size).astype(int).tolist()
    right, bottom = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, size).astype(int).tolist()
    for rows in _tiles(top, bottom):
        for columns in _tiles(left, right):
            tile = photo[rows, columns]
            to_tile = scaling(np.ones(2), np.array([-columns.start, -rows.start])) @ matrix
            layer = cv2.warpPerspective(texture, to_tile, tile.shape[1::-1], flags=cv2.INTER_LINEAR)
            bare = 1 - layer[..., 3:] / 255
            tile[:] = np.clip(tile * bare + layer[..., :3] + 0.5, 0, 255)  # 0.5 rounds, as uint8 cuts off


def premultiplied(pixels: Image) -> Texture:
    """The texture of (h, w, 4) RGBA pixels."""
    texture = pixels.astype(np.float32)
    texture[..., :3] *= texture[..., 3:] / 255
    return texture


def similarity(source: Floats, target: Floats) -> Floats:
    """The (3, 3) rotation, scale and translation from points (N, 2) to others, by least squares."""
    return np.vstack([geometry.similarity(source, target), [0, 0, 1]])


def affine(source: Floats, target: Floats) -> Floats:
    """The (3, 3) affine map from points (N, 2) to others, by least squares.

    Schaefer et al., "Image Deformation Using Moving Least Squares", SIGGRAPH 2006, sec. 2.1, with equal weights.
    """
    start, stop = source.mean(axis=0), target.mean(axis=0)
    linear = np.linalg.lstsq(source - start, target - stop, rcond=None)[0].T
    return np.block([[linear, (stop - linear @ start)[:, None]], [np.zeros(2), np.ones(1)]])


def homography(source: Floats, target: Floats) -> Floats:
    """The (3, 3) perspective map from points (N, 2) to others, by least squares; NaN if there is none.

    Normalised direct linear transform, then least squares of the distances: Hartley and Zisserman, "Multiple View
    Geometry in Computer Vision", 2nd ed., 2004, sec. 4.4 and 4.5.
    """
    matrix = cv2.findHomography(source, target)[0]
    return np.full((3, 3), np.nan) if matrix is None else np.asarray(matrix, np.float64)


def is_flat(points: Floats) -> bool:
    """Whether points (N, 2) lie on one line or in one place."""
    along, across = np.linalg.svd(points - points.mean(axis=0), compute_uv=False).tolist()
    return bool(across <= _FLAT * along)


def mapped(points: Floats, matrix: Floats) -> Floats:
    """Points (N, 2) after a plane map (3, 3)."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(moved[:, :2] / moved[:, 2:])


def scaling(ratio: Floats, corner: Floats) -> Floats:
    """(3, 3) map to pixels `ratio` (2,) times as large; their outer corner is that of pixel `corner` (2,)."""
    (x, y), (across, down) = ratio, corner + (ratio - 1) / 2
    return np.array([[x, 0, across], [0, y, down], [0, 0, 1]])


def _shrunk(texture: Texture, matrix: Floats) -> tuple[Texture, Floats]:
    """The texture averaged to the photo's resolution if that is lower, so that sampling skips no pixel."""
    height, width = texture.shape[:2]
    *middle, depth = matrix @ (width / 2, height / 2, 1)
    derivative = (matrix[:2, :2] - np.outer(middle, matrix[2, :2]) / depth) / depth
    across, down = np.minimum(np.linalg.norm(derivative, axis=0), 1)
    size = (max(1, round(width * across)), max(1, round(height * down)))
    if size == (width, height):
        return texture, matrix
    small = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32), matrix @ scaling(np.array([width, height]) / size, np.zeros(2))


def _tiles(start: int, stop: int) -> Iterator[slice]:
    for begin in range(start, stop, _TILE):
        yield slice(begin, min(begin + _TILE, stop))
