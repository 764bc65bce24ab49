"""Drawing with sub-pixel places, and smooth layers made of shaded surfaces."""

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fkd.data.synthesis.shape import Array
from fkd.types import Image

_SHIFT = 4  # OpenCV takes places in sixteenths of a pixel
_RASTER = 96  # width of a layer before it is enlarged to the picture
_STRIDE = _RASTER + 2  # with a margin that takes what falls outside

_CLOSING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))

Floats = npt.NDArray[np.floating]


class Surface(NamedTuple):
    """The N points of a surface on its way into a layer."""

    cells: npt.NDArray[np.int64]  # (N,) places in the raster
    facing: npt.NDArray[np.float32]  # (N,) drawn where positive
    paint: npt.NDArray[np.float32]  # (N, 4) RGB and 1


class Layer(NamedTuple):
    """Shaded surfaces in front of nothing: the part of a raster of 96 x 96 in which there is something."""

    colour: npt.NDArray[np.uint8]  # (h, w, 3) RGB, defined a little beyond the surfaces too
    alpha: npt.NDArray[np.float32]  # (h, w) 0 to 1
    corner: tuple[int, int]  # of the part in the raster: x, y

    def at(self, place: Floats) -> Array:
        """The colour at a place (2,) of the unit frame, or the nearest there is."""
        x, y = (place * _RASTER - self.corner).astype(int)
        height, width = self.alpha.shape
        return np.asarray(self.colour[min(max(y, 0), height - 1), min(max(x, 0), width - 1)], np.float64)


def _fixed(points: Floats) -> npt.NDArray[np.int32]:
    fixed: npt.NDArray[np.int32] = (points * (1 << _SHIFT) + 0.5).astype(np.int32)
    return fixed


def fill(image: Image, points: Floats, colour: Floats) -> None:
    """Fill the polygon (N, 2), pixels."""
    cv2.fillPoly(image, [_fixed(points)], colour.tolist(), cv2.LINE_AA, _SHIFT)


def stroke(image: Image, points: Floats, colour: Floats, width: float, *, closed: bool = False) -> None:
    """Draw a line of even width through points (N, 2), pixels; never thinner than one pixel."""
    cv2.polylines(image, [_fixed(points)], closed, colour.tolist(), max(1, round(width)), cv2.LINE_AA, _SHIFT)


def ribbon(points: Floats, widths: Floats) -> Array:
    """The outline (2N, 2) of a line through points (N, 2) whose width changes along it (N,)."""
    along = np.empty_like(points)
    along[1:-1], along[0], along[-1] = points[2:] - points[:-2], points[1] - points[0], points[-1] - points[-2]
    half = widths / (2 * np.sqrt((along * along).sum(axis=1)) + 1e-9)
    across = np.stack([-along[:, 1] * half, along[:, 0] * half], axis=1)
    return np.concatenate([points + across, (points - across)[::-1]])


def blend(image: Image, colour: Image | Array, alpha: npt.NDArray[np.float32]) -> None:
    """Lay one colour (3,) or a picture (H, W, 3) over `image` in place, with alpha (H, W) from 0 to 1."""
    if colour.ndim == 1:
        plain = np.empty_like(image)
        cv2.rectangle(plain, (0, 0), image.shape[1::-1], colour.tolist(), cv2.FILLED)
        colour = plain
    cv2.blendLinear(image, colour, 1 - alpha, alpha, image)


def blend_layer(image: Image, layer: Layer) -> None:
    """Lay shaded surfaces over the (S, S, 3) picture that they were made for, in place."""
    (left, top), (height, width) = layer.corner, layer.alpha.shape
    across, down = (
        slice(start * len(image) // _RASTER, (start + length) * len(image) // _RASTER)
        for start, length in ((left, width), (top, height))
    )
    size = (across.stop - across.start, down.stop - down.start)
    colour = np.asarray(cv2.resize(layer.colour, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    alpha = np.asarray(cv2.resize(layer.alpha, size, interpolation=cv2.INTER_LINEAR), np.float32)
    blend(image[down, across], colour, alpha)


def normals(surface: Array) -> Array:
    """Outward unit normals (R, C, 3) of a surface (R, C, 3) whose rows go down and whose columns go to the right."""
    down = np.empty_like(surface)
    right = np.empty_like(surface)
    down[1:-1], down[0], down[-1] = surface[2:] - surface[:-2], surface[1] - surface[0], surface[-1] - surface[-2]
    right[:, 1:-1] = surface[:, 2:] - surface[:, :-2]
    right[:, 0], right[:, -1] = surface[:, 1] - surface[:, 0], surface[:, -1] - surface[:, -2]
    # down x right with y pointing down and z to the viewer: (0,1,0) x (1,0,0) = (0,0,-1), so turned around.
    cross = np.stack(
        [
            right[..., 1] * down[..., 2] - right[..., 2] * down[..., 1],
            right[..., 2] * down[..., 0] - right[..., 0] * down[..., 2],
            right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0],
        ],
        axis=-1,
    )
    unit: Array = cross / (np.sqrt((cross * cross).sum(axis=-1, keepdims=True)) + 1e-9)
    return unit


def surface(places: Floats, facing: Floats, colours: Floats, *, fine: tuple[int, int], far_last: bool) -> Surface:
    """A surface given by its vertices, made `fine` times denser (rows, columns).

    Args:
        places: (R, C, 2) in the unit frame.
        facing: (R, C) positive where the surface looks towards the viewer.
        colours: (R, C, 3) RGB, 0 to 255.
        fine: how many times denser, rows and columns.
        far_last: the last columns are further away than the first, so that the first must be drawn last.
    """
    seen = np.asarray((facing > 0).any(axis=0))
    part = slice(max(int(seen.argmax()) - 1, 0), len(seen) - max(int(seen[::-1].argmax()) - 1, 0))
    places, facing, colours = places[:, part], facing[:, part], colours[:, part]
    rows, columns = facing.shape
    vertices = np.empty((columns, rows, 3), np.float32)
    vertices[..., :2] = np.clip(places * _RASTER + 1, 0, _RASTER + 1).swapaxes(0, 1)
    vertices[..., 2] = facing.T
    paint = np.ones((columns, rows, 4), np.float32)
    paint[..., :3] = colours.swapaxes(0, 1)
    if far_last:
        vertices, paint = vertices[::-1], paint[::-1]
    size = (rows * fine[0], columns * fine[1])
    dense = np.asarray(cv2.resize(vertices, size, interpolation=cv2.INTER_LINEAR), np.float32).reshape(-1, 3)
    painted = np.asarray(cv2.resize(paint, size, interpolation=cv2.INTER_LINEAR), np.float32).reshape(-1, 4)
    cells = dense[:, 1].astype(np.int64) * _STRIDE + dense[:, 0].astype(np.int64)
    return Surface(cells, dense[:, 2], painted)


def layer(*surfaces: Surface, size: int) -> Layer:
    """What is seen of surfaces in a picture `size` wide, later ones before earlier ones.

    Their points are written into a small raster; what they miss between them is filled from around (normalised
    convolution, Knutsson and Westin, "Normalized and Differential Convolution", CVPR 1993).
    """
    raster = np.zeros((_STRIDE * _STRIDE + 1, 4), np.float32)
    records = raster.view(np.complex128)[:, 0]  # four floats moved as one
    for cells, facing, paint in surfaces:
        records[np.where(facing > 0, cells, _STRIDE * _STRIDE)] = paint.view(np.complex128)[:, 0]
    seen = raster[:-1].reshape(_STRIDE, _STRIDE, 4)[1:-1, 1:-1]
    closed = cv2.morphologyEx(seen[..., 3].astype(np.uint8), cv2.MORPH_CLOSE, _CLOSING)
    left, top, width, height = cv2.boundingRect(closed)
    step = _RASTER // math.gcd(_RASTER, size)  # only every step-th border of cells is a border of pixels
    x, y = (max(start - 2, 0) // step * step for start in (left, top))
    right, bottom = (
        min(-(-(start + length + 2) // step) * step, _RASTER) for start, length in ((left, width), (top, height))
    )
    part = np.s_[y:bottom, x:right]
    near = np.asarray(cv2.GaussianBlur(seen[part], (5, 5), 0.9), np.float32)
    near += np.float32(0.02) * np.asarray(cv2.blur(near, (9, 9)), np.float32)
    weight = 1 / np.maximum(near[..., 3:], np.float32(1e-6))
    colour = np.asarray(cv2.convertScaleAbs(near[..., :3] * weight), np.uint8)
    alpha = np.asarray(cv2.GaussianBlur(closed[part].astype(np.float32), (5, 5), 0.9), np.float32) * np.float32(1.2)
    return Layer(colour, np.minimum(alpha, 1), (x, y))
