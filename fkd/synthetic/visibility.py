"""Which of the 68 points an image shows: not those behind the head itself, hair, sunglasses or things."""

import numpy as np
import numpy.typing as npt

from fkd.synthetic.camera import Camera
from fkd.synthetic.canvas import RASTER, Layer
from fkd.synthetic.head_model import MEAN_GRID, Array, Head
from fkd.types import Image

Flags = npt.NDArray[np.bool_]

_REACH = 0.12  # head units: about the distance of the surface's vertices
_NEARER = 0.3  # head units: more than the surface rises within the reach
_JAW = 17  # points on the outline, which the head never hides
_FACE = (MEAN_GRID[2] > 0).any(axis=1)  # columns of the surface that can hide other points


def behind_head(head: Head, camera: Camera) -> Flags:
    """(68,) the points with a part of the surface between them and the viewer."""
    turn = camera.rotation.astype(np.float32)
    surface, points = turn @ head.grid[:, _FACE].reshape(3, -1), turn @ head.points[_JAW:].T.astype(np.float32)
    hidden = np.zeros(len(head.points), bool)
    near = (np.abs(points[0][:, None] - surface[0]) < _REACH) & (np.abs(points[1][:, None] - surface[1]) < _REACH)
    hidden[_JAW:] = (near & (surface[2] > points[2][:, None] + _NEARER)).any(axis=1)
    return hidden


def under_layer(layer: Layer, places: Array) -> Flags:
    """(N,) the places (N, 2) of the unit frame that a layer covers."""
    height, width = layer.alpha.shape
    x, y = np.floor(places * RASTER - layer.corner).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    covered = np.zeros(len(places), bool)
    covered[inside] = layer.alpha[y[inside], x[inside]] > 0.5
    return covered


def painted_over(before: Image, after: Image, points: Array) -> Flags:
    """(N,) the points (N, 2), pixels, at which an image has changed, or which lie outside."""
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < before.shape[1]) & (y < before.shape[0])
    changed = ~inside
    changed[inside] = (before[y[inside], x[inside]] != after[y[inside], x[inside]]).any(axis=1)
    return np.asarray(changed)
