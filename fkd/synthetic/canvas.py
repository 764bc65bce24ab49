"""Drawing with sub-pixel precision, and smooth layers of shaded surfaces."""

import math
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fkd.synthetic.camera import Camera
from fkd.synthetic.head_model import Array, Single
from fkd.types import Image

_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
RASTER = 96
"""Width of a layer before it is enlarged to the image."""
_STRIDE = RASTER + 2  # with a margin for points outside
_NOWHERE = _STRIDE * _STRIDE  # the cell of points that face away
_SPREAD = np.array([0.01, 0.01, 0.05, 0.24, 0.44, 0.24, 0.05, 0.01, 0.01], np.float32)  # about 0.9 cells, with tails
_QUARTER_TURN = np.array([-1.0, 1.0])
_CLOSING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))

Floats = npt.NDArray[np.floating]


class Surface(NamedTuple):
    """The points of a surface for a layer, in drawing order."""

    cells: npt.NDArray[np.int64]  # (N, M) places in the raster
    paint: npt.NDArray[np.complex128]  # (N, M) RGB and 255 as four floats in one number, for speed


class Layer(NamedTuple):
    """Shaded surfaces without a background: the part of a 96 x 96 raster that they cover."""

    paint: Single  # (h, w, 4) RGB and 255, times a weight that is positive on and slightly beyond the surfaces
    alpha: Single  # (h, w) 0 to 1
    corner: tuple[int, int]  # of the part in the raster: x, y

    def at(self, place: Floats) -> Array:
        """The colour at a place (2,) of the unit frame, or at the nearest covered place."""
        height, width = self.alpha.shape
        x, y = (int(along * RASTER) - start for along, start in zip(place.tolist(), self.corner, strict=True))
        red, green, blue, weight = self.paint[min(max(y, 0), height - 1), min(max(x, 0), width - 1)].tolist()
        return np.asarray(np.array([red, green, blue]) * (255 / max(weight, 1e-3)))


def _fixed(points: Floats) -> npt.NDArray[np.int32]:
    fixed: npt.NDArray[np.int32] = (points * (1 << _SHIFT) + 0.5).astype(np.int32)
    return fixed


def fill(image: Image, points: Floats, colour: Floats) -> None:
    """Fills the polygon (N, 2), pixels."""
    cv2.fillPoly(image, [_fixed(points)], colour.tolist(), cv2.LINE_AA, _SHIFT)


def stroke(image: Image, points: Floats, colour: Floats, width: float, *, closed: bool = False) -> None:
    """Draws a line of constant width, at least one pixel, through points (N, 2), pixels."""
    cv2.polylines(image, [_fixed(points)], closed, colour.tolist(), max(1, round(width)), cv2.LINE_AA, _SHIFT)


@cache
def _differences(count: int) -> Array:
    """(count, count) matrix of central differences along a line, one-sided at its ends."""
    line = np.eye(count)
    return np.asarray(np.concatenate([line[1:], line[-1:]]) - np.concatenate([line[:1], line[:-1]]))


def ribbon(points: Floats, widths: Floats) -> Array:
    """The outlines (..., 2N, 2) of lines through points (..., N, 2) with a width (..., N) at each point."""
    along = _differences(points.shape[-2]) @ points
    dx, dy = along[..., 0], along[..., 1]
    across = along[..., ::-1] * (widths / (2 * np.hypot(dx, dy) + 1e-9))[..., None] * _QUARTER_TURN
    return np.concatenate([points + across, (points - across)[..., ::-1, :]], axis=-2)


def around(image: Image, points: Floats, margin: int) -> tuple[Image, npt.NDArray[np.int64]]:
    """The part of the image around points (..., 2), and its corner (2,): x, y; empty if they lie outside."""
    left, top, width, height = cv2.boundingRect(points.reshape(-1, 1, 2).astype(np.float32))
    x, y = max(left - margin, 0), max(top - margin, 0)
    return image[y : max(top + height + margin, 0), x : max(left + width + margin, 0)], np.array([x, y])


def soft_fill(image: Image, outlines: Array, level: float, colour: Floats, softness: float) -> None:
    """Fills polygons (P, N, 2), pixels, with blurred edges and an opacity of `level`, 0 to 255."""
    patch, corner = around(image, outlines, math.ceil(2 * softness))
    if patch.size == 0:
        return
    mask = np.zeros(patch.shape[:2], np.uint8)
    for outline in outlines - corner:
        fill(mask, outline, np.array([level]))
    reach = 2 * round(2 * softness) + 1
    plain = np.empty_like(patch)
    plain[:] = colour.clip(0, 255)
    blend(patch, plain, np.asarray(cv2.GaussianBlur(mask, (reach, reach), softness), np.uint8))


def blend(image: Image, other: Image, mask: Image) -> None:
    """Blends an image (H, W, 3) over `image` in place, with an opacity (H, W) from 0 to 255."""
    alpha = mask.astype(np.float32) * np.float32(1 / 255)
    cv2.blendLinear(image, other, 1 - alpha, alpha, image)


def blend_layer(image: Image, layer: Layer) -> None:
    """Blends shaded surfaces over the (S, S, 3) image that they were made for, in place."""
    (left, top), (height, width) = layer.corner, layer.alpha.shape
    across, down = (
        slice(start * len(image) // RASTER, (start + length) * len(image) // RASTER)
        for start, length in ((left, width), (top, height))
    )
    share = layer.alpha * 255 / (layer.paint[..., 3] + np.float32(1e-3))
    covering = cv2.multiply(layer.paint, cv2.merge([share, share, share, share]))  # RGB and 255, times alpha
    size = (across.stop - across.start, down.stop - down.start)
    enlarged = cv2.convertScaleAbs(cv2.resize(covering, size, interpolation=cv2.INTER_LINEAR))
    uncovered = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(enlarged, 3)), cv2.COLOR_GRAY2RGB)
    part = image[down, across]
    cv2.multiply(part, uncovered, part, 1 / 255)
    cv2.add(part, cv2.cvtColor(enlarged, cv2.COLOR_RGBA2RGB), part)


def normals(surface: Single) -> Single:
    """Outward unit normals (3, C, R) of a surface (3, C, R) whose columns go to the right and whose rows go down."""
    right = np.empty_like(surface)
    right[:, 1:-1] = surface[:, 2:] - surface[:, :-2]
    right[:, 0], right[:, -1] = surface[:, 1] - surface[:, 0], surface[:, -1] - surface[:, -2]
    rows = surface.reshape(-1, surface.shape[2])
    down = cv2.Sobel(rows, -1, 1, 0, ksize=1, borderType=cv2.BORDER_REPLICATE).reshape(surface.shape)
    (rx, ry, rz), (dx, dy, dz) = right, down
    # right x down: with y down and z to the viewer it points outwards, as (1,0,0) x (0,1,0) = (0,0,1).
    cross = np.array([ry * dz - rz * dy, rz * dx - rx * dz, rx * dy - ry * dx])
    unit: Single = cross / (np.sqrt((cross * cross).sum(axis=0)) + np.float32(1e-9))
    return unit


def grey(level: Single) -> Single:
    """A level (C, R) as (C, R, 4): three times the level, and 1."""
    return np.asarray(cv2.cvtColor(level, cv2.COLOR_GRAY2RGBA), np.float32)


def coloured(level: Single, colour: Floats) -> Single:
    """Paint (C, R, 4) of a surface of one colour (3,) with a brightness (C, R)."""
    return tinted(grey(level), (*colour.tolist(), 255.0))


def tinted(paint: Single, factors: tuple[float, float, float, float]) -> Single:
    """Paint (C, R, 4) with each channel times its factor."""
    return np.asarray(cv2.multiply(paint, factors), np.float32)  # type: ignore[call-overload]


def surface(
    camera: Camera, turned: Single, facing: Single, paint: Single, *, fine: tuple[int, int], far_last: bool
) -> Surface:
    """A surface from its vertices, interpolated so that few cells of the raster are missed.

    Args:
        camera: the camera.
        turned: (3, C, R) vertices in camera axes.
        facing: (C, R) positive where the surface faces the viewer.
        paint: (C, R, 4) RGB, 0 to 255, and 255.
        fine: factors of interpolation of columns and rows.
        far_last: whether the last columns are farther away than the first, so that the first must be drawn last.
    """
    seen = np.asarray((facing > 0).any(axis=1))
    part = slice(max(int(seen.argmax()) - 1, 0), len(seen) - max(int(seen[::-1].argmax()) - 1, 0))
    places = camera.flatten(turned[:, part]) * np.float32(RASTER) + np.float32(1)
    places = np.minimum(np.maximum(places, 0), np.float32(RASTER + 1))
    columns, rows = places.shape[1:]
    size = (rows * fine[1], columns * fine[0])
    x, y, facing = (
        np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)
        for plane in (*places, facing[part])
    )
    painted = np.asarray(cv2.resize(paint[part], size, interpolation=cv2.INTER_LINEAR), np.float32)
    hidden = (facing <= 0) * np.float32(_NOWHERE)
    cells = np.maximum(np.floor(y) * _STRIDE + x, hidden).astype(np.int64)
    step = -1 if far_last else 1
    return Surface(cells[::step], painted.view(np.complex128)[::step, :, 0])


def layer(*surfaces: Surface, size: int) -> Layer:
    """The visible surfaces of an image `size` wide; later ones are in front of earlier ones.

    Their points are written into a small raster; gaps are filled from the neighbours (normalised convolution, Knutsson
    and Westin, "Normalized and Differential Convolution", CVPR 1993).
    """
    raster = np.zeros((_NOWHERE + 1, 4), np.float32)
    records = raster.view(np.complex128)[:, 0]
    for cells, paint in surfaces:
        records[cells] = paint
    seen = raster[:-1].reshape(_STRIDE, _STRIDE, 4)[1:-1, 1:-1]
    mask = np.asarray(cv2.extractChannel(seen, 3), np.float32).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSING)
    left, top, width, height = cv2.boundingRect(mask)
    step = RASTER // math.gcd(RASTER, size)  # only every step-th cell starts with a whole pixel
    x, y = (max(start - 2, 0) // step * step for start in (left, top))
    right, bottom = (
        min(-(-(start + length + 2) // step) * step, RASTER) for start, length in ((left, width), (top, height))
    )
    part = np.s_[y:bottom, x:right]
    near = np.asarray(cv2.sepFilter2D(seen[part], -1, _SPREAD, _SPREAD), np.float32)
    alpha = np.asarray(cv2.GaussianBlur(closed[part].astype(np.float32), (5, 5), 0.9), np.float32)
    return Layer(near, np.minimum(alpha * np.float32(1.2 / 255), 1), (x, y))
