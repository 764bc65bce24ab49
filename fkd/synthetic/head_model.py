"""A head in three dimensions: its surface, its 68 points and their variation.

Head coordinates: half the distance of the outer eye corners is 1; the origin is midway between them; x points to the
image's right for a frontal head (the subject's left), y down, z towards the viewer.

Points = mean + coefficients @ modes, as in a morphable model (Blanz and Vetter, "A Morphable Model for the Synthesis of
3D Faces", SIGGRAPH 1999, sec. 3), but with modes that are written by hand instead of learned: each mode is a smooth
field of displacements, evaluated at the points of the surface and at the 68 points.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.schema import IBUG68

Array = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]  # precise enough for drawing
Field = Callable[[Array], Array]

# Points 0-8, 17-21, 27-30, 31-33, 36-41, 48-51, 57-59, 60-62 and 66-67; the others are their mirror images.
_HALF: dict[int, tuple[float, float, float]] = {
    **{0: (-1.77, 0.03, -1.18), 1: (-1.74, 0.48, -1.13), 2: (-1.66, 0.88, -1.08), 3: (-1.57, 1.27, -1.02)},
    **{4: (-1.43, 1.67, -0.90), 5: (-1.19, 2.02, -0.68), 6: (-0.89, 2.28, -0.36), 7: (-0.52, 2.46, 0.0)},
    **{8: (0.0, 2.56, 0.13)},
    **{17: (-1.33, -0.34, -0.18), 18: (-1.12, -0.47, 0.0), 19: (-0.86, -0.52, 0.15), 20: (-0.62, -0.50, 0.28)},
    **{21: (-0.40, -0.44, 0.38)},
    **{27: (0.0, 0.02, 0.44), 28: (0.0, 0.30, 0.60), 29: (0.0, 0.57, 0.77), 30: (0.0, 0.83, 0.94)},
    **{31: (-0.29, 1.00, 0.56), 32: (-0.16, 1.05, 0.65), 33: (0.0, 1.08, 0.70)},
    **{36: (-1.0, 0.0, -0.02), 37: (-0.83, -0.08, 0.07), 38: (-0.63, -0.085, 0.11), 39: (-0.45, 0.03, 0.12)},
    **{40: (-0.62, 0.095, 0.12), 41: (-0.83, 0.09, 0.08)},
    **{48: (-0.58, 1.54, 0.20), 49: (-0.38, 1.43, 0.47), 50: (-0.13, 1.36, 0.63), 51: (0.0, 1.385, 0.65)},
    **{57: (0.0, 1.79, 0.63), 58: (-0.19, 1.77, 0.60), 59: (-0.38, 1.69, 0.46)},
    **{60: (-0.52, 1.54, 0.24), 61: (-0.18, 1.525, 0.58), 62: (0.0, 1.53, 0.61)},
    **{66: (0.0, 1.575, 0.61), 67: (-0.18, 1.57, 0.58)},
}

# Horizontal rings of the head without its features: y, half width, z of the widest place, of the front and of the back.
_RINGS = np.array(
    [
        [-2.72, 0.05, -1.5, -1.45, -1.55],
        [-2.62, 0.78, -1.5, -0.80, -2.3],
        [-2.35, 1.25, -1.5, -0.35, -2.9],
        [-1.90, 1.62, -1.5, 0.02, -3.4],
        [-1.40, 1.80, -1.5, 0.25, -3.65],
        [-0.90, 1.87, -1.5, 0.37, -3.75],
        [-0.45, 1.87, -1.45, 0.40, -3.7],
        [0.00, 1.83, -1.4, 0.30, -3.5],
        [0.45, 1.76, -1.35, 0.34, -3.2],
        [0.87, 1.69, -1.3, 0.42, -2.9],
        [1.25, 1.60, -1.2, 0.50, -2.6],
        [1.67, 1.45, -1.1, 0.50, -2.4],
        [2.03, 1.24, -1.0, 0.38, -2.2],
        [2.26, 1.03, -0.9, 0.40, -2.1],
        [2.47, 0.82, -0.8, 0.30, -1.9],
        [2.60, 0.52, -0.7, 0.13, -1.7],
        [2.72, 0.31, -0.7, -0.25, -1.2],
    ]
)

# Features on the rings: x, y, their standard deviations, height along z; mirrored if x is not 0.
_RELIEF = np.array(
    [
        [0.0, -0.05, 0.13, 0.20, 0.14],  # bridge of the nose
        [0.0, 0.29, 0.13, 0.20, 0.19],
        [0.0, 0.55, 0.16, 0.17, 0.22],
        [0.0, 0.79, 0.19, 0.13, 0.42],  # tip
        [0.26, 0.88, 0.09, 0.10, 0.20],  # wing
        [0.72, 0.00, 0.34, 0.20, -0.17],  # socket
        [0.72, 0.02, 0.20, 0.12, 0.10],  # eyeball
        [0.75, -0.42, 0.40, 0.11, 0.06],  # brow ridge
        [0.95, 0.75, 0.30, 0.25, 0.07],  # cheek
        [0.0, 1.42, 0.32, 0.08, 0.13],  # lips
        [0.0, 1.72, 0.28, 0.08, 0.13],
        [0.65, 1.56, 0.15, 0.14, -0.12],  # corner of the mouth
        [0.0, 1.93, 0.30, 0.08, -0.06],
        [0.0, 2.28, 0.30, 0.17, 0.10],  # chin
    ]
)

_ROWS = np.concatenate(
    [np.linspace(-2.72, -0.7, 14), np.linspace(-0.57, 1.9, 23), np.linspace(2.0, 2.6, 7), [2.68, 2.72]]
)
_T = np.linspace(-1, 1, 47)
_ANGLES = np.pi * (0.34 * _T + 0.66 * _T**3)  # dense where the nose is, closed at the back


def _mean_points() -> Array:
    points = np.zeros((68, 3))
    for i, (x, y, z) in _HALF.items():
        points[i], points[IBUG68.flip[i]] = (x, y, z), (-x, y, z)
    return points


def mean_surface(y: Array, angle: Array) -> Array:
    """Points (..., 3) of the mean head at heights (...) and angles (...) about its axis: 0 in front, positive left."""
    width, middle, front, back = (np.interp(y, _RINGS[:, 0], column) for column in _RINGS.T[1:])
    x, forward = width * np.sin(angle), np.cos(angle)
    z = middle + np.where(forward > 0, front - middle, middle - back) * forward
    for at_x, at_y, spread_x, spread_y, height in _RELIEF:
        bump = np.exp(-0.5 * ((y - at_y) / spread_y) ** 2) * height * (forward > 0)
        z = z + bump * np.exp(-0.5 * ((np.abs(x) - at_x) / spread_x) ** 2)
    return np.stack([x, y, z], axis=-1)


def _jaw_paths(points: Array) -> Array:
    """(17, 12, 3) paths from the jaw points forwards along the surface, where the outline of a turned head can lie."""
    share = np.linspace(0, 1, 12)[None]
    jaw = points[:17]
    middle = np.interp(jaw[:, 1], _RINGS[:, 0], _RINGS[:, 2])
    width = np.interp(jaw[:, 1], _RINGS[:, 0], _RINGS[:, 1])
    start = np.arctan2(jaw[:, 0] / width, (jaw[:, 2] - middle) / (0.4 - middle))[:, None]
    path = mean_surface(np.broadcast_to(jaw[:, 1:2], (17, 12)), start * (1 - 0.62 * share))
    path += (jaw - path[:, 0])[:, None] * (1 - share[..., None]) ** 2  # starts at the point itself
    path[8] = jaw[8]
    return path


_MEAN_POINTS = _mean_points()
_MEAN_PATHS = _jaw_paths(_MEAN_POINTS)
MEAN_GRID = np.moveaxis(mean_surface(*np.meshgrid(_ROWS, _ANGLES)), -1, 0)
"""(3, C, R): the mean head's surface; columns from behind over its right side to behind, rows from crown to throat."""


def _bump(p: Array, x: float, y: float, spread_x: float, spread_y: float) -> Array:
    """(N,): 1 at (+-x, y), smoothly falling to 0; 0 at the back of the head."""
    falloff = np.exp(-0.5 * (((np.abs(p[:, 0]) - x) / spread_x) ** 2 + ((p[:, 1] - y) / spread_y) ** 2))
    return np.asarray(falloff * (p[:, 2] > -1.3))


def _ramp(value: Array, start: float, stop: float) -> Array:
    """0 below start, 1 above stop, smooth between."""
    t = np.clip((value - start) / (stop - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _along(axis: int, amount: Array) -> Array:
    moved = np.zeros((len(amount), 3))
    moved[:, axis] = amount
    return moved


def _side(p: Array) -> Array:
    """The sign of x, smooth in the middle of the face."""
    return np.asarray(np.tanh(p[:, 0] / 0.15))


def _below_lips(p: Array) -> Array:
    """1 on the lower jaw, 0 above the mouth: a step between the lips, smooth beside them."""
    reach = 0.012 + 0.5 * _ramp(np.abs(p[:, 0]), 0.6, 1.1)
    return _ramp((p[:, 1] - 1.56) / reach, -1, 1)


IDENTITY: dict[str, Field] = {
    "width": lambda p: _along(0, 0.07 * p[:, 0]),
    "depth": lambda p: _along(2, 0.08 * p[:, 2]),
    "lower_face": lambda p: _along(1, 0.07 * np.maximum(p[:, 1] - 0.2, 0)),
    "upper_face": lambda p: _along(1, 0.06 * np.minimum(p[:, 1] + 0.2, 0)),
    "jaw_width": lambda p: _along(0, 0.08 * p[:, 0] * _ramp(p[:, 1], 0.5, 2.0)),
    "cheek_width": lambda p: _along(0, 0.045 * p[:, 0] * _bump(p, 1.6, 0.8, 0.9, 0.6)),
    "chin_length": lambda p: _along(1, 0.10 * _ramp(p[:, 1], 1.7, 2.5)),
    "chin_forward": lambda p: _along(2, 0.12 * _ramp(p[:, 1], 1.2, 2.3) * (p[:, 2] > -1)),
    "chin_point": lambda p: _along(0, -0.10 * p[:, 0] * _ramp(p[:, 1], 1.9, 2.5)),
    "eye_distance": lambda p: _along(0, 0.045 * _side(p) * _bump(p, 0.75, -0.1, 0.4, 0.4)),
    "eye_height": lambda p: _along(1, 0.02 * np.tanh((p[:, 1] - 0.01) / 0.05) * _bump(p, 0.72, 0.01, 0.28, 0.12)),
    "eye_width": lambda p: _along(0, 0.12 * (np.abs(p[:, 0]) - 0.72) * _side(p) * _bump(p, 0.72, 0.01, 0.4, 0.15)),
    "eye_slant": lambda p: _along(1, -0.09 * (np.abs(p[:, 0]) - 0.72) * _bump(p, 0.72, -0.1, 0.5, 0.35)),
    "eyes_up": lambda p: _along(1, -0.05 * _bump(p, 0.7, 0.0, 0.6, 0.25)),
    "brow_up": lambda p: _along(1, -0.07 * _bump(p, 0.8, -0.5, 0.6, 0.17)),
    "brow_slope": lambda p: _along(1, -0.12 * (np.abs(p[:, 0]) - 0.85) * _bump(p, 0.85, -0.5, 0.6, 0.17)),
    "brow_arch": lambda p: _along(1, -0.05 * _bump(p, 0.92, -0.5, 0.2, 0.17)),
    "nose_length": lambda p: _along(1, 0.08 * _bump(p, 0.0, 0.95, 0.4, 0.35)),
    "nose_width": lambda p: _along(0, 0.20 * p[:, 0] * _bump(p, 0.2, 0.95, 0.25, 0.22)),
    "nose_forward": lambda p: _along(2, 0.11 * _bump(p, 0.0, 0.75, 0.25, 0.35)),
    "nose_tip": lambda p: _along(1, 0.05 * _bump(p, 0.0, 0.83, 0.15, 0.12)),
    "mouth_up": lambda p: _along(1, -0.07 * _bump(p, 0.0, 1.6, 0.8, 0.3)),
    "mouth_width": lambda p: _along(0, 0.09 * p[:, 0] * _bump(p, 0.4, 1.55, 0.4, 0.25)),
    "upper_lip": lambda p: _along(1, -0.04 * _bump(p, 0.0, 1.38, 0.35, 0.06)),
    "lower_lip": lambda p: _along(1, 0.05 * _bump(p, 0.0, 1.80, 0.35, 0.08)),
}
"""Differences of subjects: name -> field of displacements for a coefficient of 1 (about one standard deviation)."""

EXPRESSION: dict[str, Field] = {
    "open": lambda p: (
        _along(1, 0.42 * _below_lips(p) * _ramp(p[:, 2], -1.3, 0.0) * _ramp(-np.abs(p[:, 0]), -1.9, -0.5))
        + _along(1, 0.10 * _bump(p, 0.56, 1.54, 0.08, 0.008))
        + _along(0, -0.10 * p[:, 0] * _bump(p, 0.5, 1.55, 0.3, 0.2))
    ),
    "part": lambda p: (
        _along(1, 0.10 * _ramp(p[:, 1], 1.548, 1.572) * _bump(p, 0.0, 1.7, 0.33, 0.2))
        - _along(1, 0.06 * _ramp(-p[:, 1], -1.548, -1.53) * _bump(p, 0.0, 1.48, 0.33, 0.12))
    ),
    "smile": lambda p: (
        _along(0, 0.13 * _side(p) * _bump(p, 0.58, 1.53, 0.28, 0.22))
        + _along(1, -0.10 * _bump(p, 0.62, 1.52, 0.22, 0.22) - 0.04 * _bump(p, 0.8, 0.9, 0.35, 0.3))
        + _along(2, -0.06 * _bump(p, 0.4, 1.55, 0.4, 0.2))
        + _along(0, 0.05 * p[:, 0] * _bump(p, 0.2, 0.98, 0.3, 0.15))
    ),
    "pucker": lambda p: (
        _along(0, -0.24 * p[:, 0] * _bump(p, 0.4, 1.55, 0.4, 0.25)) + _along(2, 0.08 * _bump(p, 0.0, 1.55, 0.35, 0.2))
    ),
    "mouth_aside": lambda p: _along(0, 0.08 * _bump(p, 0.0, 1.75, 0.7, 0.4)),
    "mouth_tilt": lambda p: _along(1, 0.10 * p[:, 0] * _bump(p, 0.3, 1.55, 0.5, 0.25)),
    "brows_up": lambda p: _along(1, -0.11 * _bump(p, 0.8, -0.5, 0.6, 0.17)),
    "frown": lambda p: (
        _along(1, 0.10 * _bump(p, 0.4, -0.47, 0.25, 0.15))
        - _along(0, 0.07 * _side(p) * _bump(p, 0.4, -0.47, 0.2, 0.15))
    ),
    "brows_tilt": lambda p: _along(1, 0.05 * _side(p) * _bump(p, 0.8, -0.5, 0.6, 0.17)),
    "lids": lambda p: _along(1, 0.165 * _bump(p, 0.73, -0.07, 0.13, 0.035) - 0.01 * _bump(p, 0.73, 0.09, 0.15, 0.03)),
}
"""Movements of one face: "lids" 1 shuts the eyes, "open" 1 opens the mouth wide; otherwise as `IDENTITY`."""


class Head(NamedTuple):
    """One head in head coordinates."""

    labelled: Array  # (68 + 17 * 12, 3) the points, then for each jaw point a path along the surface to the front
    grid: Single  # (3, C, R) the surface, in the layout of MEAN_GRID

    @property
    def points(self) -> Array:
        """The 68 points (68, 3)."""
        return self.labelled[:68]


_MODES = (*IDENTITY.values(), *EXPRESSION.values())


def _mean_and_modes(measured: Array) -> tuple[Array, Array]:
    """The mean (N, 3) and the modes (M, N, 3) at points (N, 3) of the surface."""
    # The heights were measured in images, where a near camera moves the front of the face outwards: this is undone.
    mean = measured + 0.5 * IDENTITY["mouth_up"](measured) - 0.4 * IDENTITY["nose_length"](measured)
    return mean, np.stack([field(measured) for field in _MODES])


_LABELLED, _LABELLED_MODES = _mean_and_modes(np.concatenate([_MEAN_POINTS, _MEAN_PATHS.reshape(-1, 3)]))
_SURFACE, _SURFACE_MODES = _mean_and_modes(MEAN_GRID.reshape(3, -1).T)
_AXES = [  # for x, y and z: the mean (C * R,), the modes that change it, their values (M', C * R)
    (_SURFACE[:, axis].astype(np.float32), used, _SURFACE_MODES[used, :, axis].astype(np.float32))
    for axis in range(3)
    for used in [_SURFACE_MODES[..., axis].any(axis=1)]
]


def head(identity: Array, expression: Array) -> Head:
    """The head with coefficients of `IDENTITY` and `EXPRESSION`, in the order of their names."""
    coefficients = np.concatenate([identity, expression])
    labelled = _LABELLED + (coefficients @ _LABELLED_MODES.reshape(len(_MODES), -1)).reshape(-1, 3)
    single = coefficients.astype(np.float32)
    grid = np.stack([mean + single[used] @ modes for mean, used, modes in _AXES])
    return Head(labelled, grid.reshape(MEAN_GRID.shape))


def grid_row(y: Array) -> Array:
    """Fractional row of the grid at mean heights y."""
    return np.interp(y, _ROWS, np.arange(len(_ROWS)))


def grid_column(angle: Array) -> Array:
    """Fractional column of the grid at angles about the head's axis, -pi to pi."""
    return np.interp(angle, _ANGLES, np.arange(len(_ANGLES)))
