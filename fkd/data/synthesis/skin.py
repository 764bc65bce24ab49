"""The head's skin: its colour at every vertex and the light on it."""

import numpy as np

from fkd.data.synthesis.camera import Camera
from fkd.data.synthesis.canvas import Surface, normals, surface
from fkd.data.synthesis.shape import MEAN_GRID, Array, Head
from fkd.data.synthesis.subject import Shot, Subject


def _spot(x: float, y: float, spread_x: float, spread_y: float) -> Array:
    """(R, C, 1): 1 at (+-x, y) of the mean head, smoothly falling off."""
    across, down = (np.abs(MEAN_GRID[..., 0]) - x) / spread_x, (MEAN_GRID[..., 1] - y) / spread_y
    front = MEAN_GRID[..., 2] > MEAN_GRID[..., 2].mean(axis=1, keepdims=True) - 0.2
    return np.asarray((np.exp(-0.5 * (across**2 + down**2)) * front)[..., None])


def _step(value: Array, start: float, stop: float) -> Array:
    return np.asarray(np.clip((value - start) / (stop - start), 0, 1)[..., None])


_X, _Y = np.abs(MEAN_GRID[..., 0]), MEAN_GRID[..., 1]
_BLUSH = _spot(0.9, 0.8, 0.35, 0.3) + 0.6 * _spot(0.0, 0.80, 0.2, 0.2)
_SOCKET = _spot(0.70, 0.0, 0.36, 0.17)
_HOLLOW = (  # where little light gets: inner eye corners, beside and under the nose, under the lip, under the chin
    0.30 * _spot(0.38, -0.02, 0.12, 0.13)
    + 0.22 * _spot(0.70, -0.08, 0.36, 0.10)
    + 0.12 * _spot(0.70, 0.20, 0.30, 0.07)
    + 0.30 * _spot(0.0, 1.07, 0.25, 0.07)
    + 0.20 * _spot(0.38, 0.96, 0.07, 0.12)
    + 0.14 * _spot(0.22, 0.55, 0.07, 0.25)
    + 0.20 * _spot(0.0, 1.92, 0.28, 0.07)
    + 0.12 * _spot(0.68, 1.58, 0.08, 0.10)
    + 0.55 * _step(_Y, 2.53, 2.75)
    + 0.25 * _step(_X, 1.55, 1.8) * (_Y > -0.6)[..., None]
)
_JAW = _step(_Y + 0.30 * np.cos(3.0 * np.minimum(_X, 1.4)) * 0.6, 1.25, 1.6)  # beard: lower cheeks, chin, throat
_JAW = np.maximum(_JAW, _step(_X, 1.25, 1.5) * _step(_Y, 0.1, 0.4))
_JAW = _JAW * (1 - _spot(0.0, 1.57, 0.40, 0.17)) * (1 - 0.6 * _spot(0.28, 1.92, 0.15, 0.12))
_UPPER_LIP = np.clip(1.6 * _spot(0.22, 1.25, 0.20, 0.085), 0, 1) * _step(_Y, 1.05, 1.14)
_MAPS = np.concatenate([_BLUSH, _SOCKET, _HOLLOW], axis=-1)


def skin_surface(head: Head, subject: Subject, shot: Shot, camera: Camera, noise: Array) -> Surface:
    """The head without its features.

    Args:
        noise: (R, C) unit normal deviates that belong to the person.
    """
    hollow = 0.8 + 0.4 * subject.age
    paler = np.array([[-0.02, 0.06, 0.05], [0.05 + 0.12 * subject.age] * 3, [hollow] * 3])
    albedo = subject.skin * (1 + 0.02 * noise[..., None] - _MAPS @ paler)
    if subject.beard > 0:
        beard = np.maximum(_JAW * subject.beard, _UPPER_LIP * min(subject.moustache, 0.9))
        albedo += beard * (subject.hair * (0.9 + 0.18 * noise[..., None]) - albedo)
    outward = camera.rotate(normals(head.grid))
    colours = albedo * light_on(outward, shot)[..., None] + shine_on(outward, shot)[..., None]
    far_last = bool(camera.rotation[0, 2] > 0)
    return surface(camera.project(head.grid), outward[..., 2], colours, fine=(3, 2), far_last=far_last)


def light_on(outward: Array, shot: Shot) -> Array:
    """How bright a surface is (...,) from its unit normals (..., 3) in camera axes."""
    diffuse = np.maximum(outward @ shot.light, -0.25)
    wrapped = 0.8 * diffuse + 0.2
    sky = 0.5 - 0.25 * outward[..., 1] + 0.25 * outward[..., 2]
    return np.asarray(shot.ambient * sky + (1.08 - 0.75 * shot.ambient) * wrapped)


def shine_on(outward: Array, shot: Shot) -> Array:
    """The gloss of skin (...,) in the colour of the light, 0 to 255 (Blinn 1977: power of the half-way vector)."""
    half = shot.light + np.array([0.0, 0.0, 1.0])
    half /= np.sqrt(half @ half)
    return np.asarray(90 * shot.shine * np.maximum(outward @ half, 0) ** 14)
