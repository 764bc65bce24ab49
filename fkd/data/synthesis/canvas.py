"""Drawing with sub-pixel places, and smooth layers made of shaded surfaces."""

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

    cells: npt.NDArray[np.int32]  # (N,) places in the raster
    facing: npt.NDArray[np.float32]  # (N,) drawn where positive
    paint: npt.NDArray[np.float32]  # (N, 4) RGB and 1


class Layer(NamedTuple):
    """Shaded surfaces in front of nothing."""

    colour: npt.NDArray[np.float32]  # (96, 96, 3) RGB, 0 to 255, defined a little beyond the surface too
    alpha: npt.NDArray[np.float32]  # (96, 96) 0 to 1

    def at(self, place: Floats) -> Array:
        """The colour at a place (2,) of the unit frame."""
        x, y = np.clip(place * _RASTER, 0, _RASTER - 1).astype(int)
        return np.asarray(self.colour[y, x], np.float64)


def _fixed(points: Floats) -> npt.NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _limited(colour: Floats) -> list[float]:
    return [min(max(value, 0.0), 255.0) for value in colour.tolist()]


def fill(image: Image, points: Floats, colour: Floats) -> None:
    """Fill the polygon (N, 2), pixels."""
    cv2.fillPoly(image, [_fixed(points)], _limited(colour), cv2.LINE_AA, _SHIFT)


def stroke(image: Image, points: Floats, colour: Floats, width: float, *, closed: bool = False) -> None:
    """Draw a line of even width through points (N, 2), pixels; never thinner than one pixel."""
    thickness = max(1, round(width))
    cv2.polylines(image, [_fixed(points)], closed, _limited(colour), thickness, cv2.LINE_AA, _SHIFT)


def ribbon(points: Floats, widths: Floats) -> Floats:
    """The outline (2N, 2) of a line through points (N, 2) whose width changes along it (N,)."""
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.asarray(widths)[:, None] / 2
    return np.concatenate([points + across, (points - across)[::-1]])


def blend(image: Image, layer: Image, alpha: npt.NDArray[np.float32]) -> None:
    """Lay `layer` over `image` in place, with alpha (H, W) from 0 to 1."""
    cv2.blendLinear(image, layer, 1 - alpha, alpha, image)


def blend_layer(image: Image, layer: Layer) -> None:
    """Lay a shaded surface over the picture in place."""
    size = image.shape[:2][::-1]
    colour = np.clip(layer.colour, 0, 255).astype(np.uint8)
    blend(image, _enlarge(colour, size), _enlarge(layer.alpha, size))


def _enlarge(small: npt.NDArray, size: tuple[int, ...]) -> npt.NDArray:  # type: ignore[type-arg]
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


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
    return np.asarray(cross / (np.linalg.norm(cross, axis=-1, keepdims=True) + 1e-9))


def surface(places: Floats, facing: Floats, colours: Floats, *, fine: tuple[int, int], far_last: bool) -> Surface:
    """A surface given by its vertices, made `fine` times denser (rows, columns).

    Args:
        places: (R, C, 2) in the unit frame.
        facing: (R, C) positive where the surface looks towards the viewer.
        colours: (R, C, 3) RGB, 0 to 255.
        fine: how many times denser, rows and columns.
        far_last: the last columns are further away than the first, so that the first must be drawn last.
    """
    rows, columns = facing.shape
    vertices = np.empty((columns, rows, 3), np.float32)
    vertices[..., :2] = np.clip(places * _RASTER + 1, 0, _RASTER + 1).swapaxes(0, 1)
    vertices[..., 2] = facing.T
    paint = np.ones((columns, rows, 4), np.float32)
    paint[..., :3] = colours.swapaxes(0, 1)
    if far_last:
        vertices, paint = vertices[::-1], paint[::-1]
    size = (rows * fine[0], columns * fine[1])
    vertices = cv2.resize(vertices, size, interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
    paint = cv2.resize(paint, size, interpolation=cv2.INTER_LINEAR).reshape(-1, 4)
    cells = vertices[:, 1].astype(np.int32) * _STRIDE + vertices[:, 0].astype(np.int32)
    return Surface(cells, vertices[:, 2], paint)


def layer(*surfaces: Surface) -> Layer:
    """What is seen of surfaces, later ones before earlier ones.

    Their points are written into a small raster; what they miss between them is filled from around (normalised
    convolution, Knutsson and Westin, "Normalized and Differential Convolution", CVPR 1993).
    """
    raster = np.zeros((_STRIDE * _STRIDE + 1, 4), np.float32)
    records = raster.view(np.complex128)[:, 0]  # four floats moved as one
    for cells, facing, paint in surfaces:
        records[np.where(facing > 0, cells, _STRIDE * _STRIDE)] = paint.view(np.complex128)[:, 0]
    seen = raster[:-1].reshape(_STRIDE, _STRIDE, 4)[1:-1, 1:-1]
    near = cv2.GaussianBlur(seen, (5, 5), 0.9)
    near += 0.02 * cv2.blur(near, (9, 9))
    colour = near[..., :3] / np.maximum(near[..., 3:], 1e-6)
    closed = cv2.morphologyEx(seen[..., 3], cv2.MORPH_CLOSE, _CLOSING, borderType=cv2.BORDER_REPLICATE)
    return Layer(colour, np.minimum(cv2.GaussianBlur(closed, (5, 5), 0.9) * 1.2, 1))
