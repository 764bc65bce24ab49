"""The skin of the head: the colour of every vertex and the light on it."""

import math

import cv2
import numpy as np

from fkd.synthetic.camera import Camera
from fkd.synthetic.canvas import Surface, grey, normals, surface
from fkd.synthetic.head_model import MEAN_GRID, Array, Head, Single
from fkd.synthetic.subject import Shot, Subject


def _spot(x: float, y: float, spread_x: float, spread_y: float) -> Array:
    """(C, R, 1): 1 at (+-x, y) of the mean head, smoothly falling to 0."""
    across, down = (np.abs(MEAN_GRID[0]) - x) / spread_x, (MEAN_GRID[1] - y) / spread_y
    front = MEAN_GRID[2] > MEAN_GRID[2].mean(axis=0) - 0.2
    return np.asarray((np.exp(-0.5 * (across**2 + down**2)) * front)[..., None])


def _step(value: Array, start: float, stop: float) -> Array:
    return np.asarray(np.clip((value - start) / (stop - start), 0, 1)[..., None])


_X, _Y = np.abs(MEAN_GRID[0]), MEAN_GRID[1]
_BLUSH = _spot(0.9, 0.8, 0.35, 0.3) + 0.6 * _spot(0.0, 0.80, 0.2, 0.2)
_SOCKET = _spot(0.70, 0.0, 0.36, 0.17)
_HOLLOW = (  # places with little light: inner eye corners, beside and under the nose, under the lip, under the chin
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
_BEARD, _MOUSTACHE = (np.ascontiguousarray(each[..., 0], np.float32) for each in (_JAW, _UPPER_LIP))
_MAPS = np.concatenate([_BLUSH, _SOCKET, _HOLLOW, 0 * _HOLLOW], axis=-1).astype(np.float32)
_NOISE = np.random.default_rng(17).standard_normal((128, 128)).astype(np.float32)


def skin_surface(head: Head, albedo: Single, shot: Shot, camera: Camera) -> Surface:
    """The head without its features; `albedo` is the subject's."""
    turned = camera.turn(head.grid)
    outward = normals(turned)
    paint = np.asarray(cv2.multiply(albedo, grey(light_on(outward, shot))), np.float32)
    paint += np.asarray(grey(shine_on(outward, shot)), np.float32)
    paint[..., 3] = 255
    far_last = bool(camera.rotation[0, 2] > 0)
    return surface(camera, turned, outward[2], paint, fine=(2, 3), far_last=far_last)


def skin_albedo(subject: Subject) -> Single:
    """The colour of a subject's skin (C, R, 4) in white light; the last channel has no meaning."""
    columns, rows = MEAN_GRID.shape[1:]
    x, y = subject.skin_noise
    maps = _MAPS.copy()
    maps[..., 3] = noise = _NOISE[x : x + columns, y : y + rows]
    hollow, old = 0.8 + 0.4 * subject.age, 0.05 + 0.12 * subject.age
    paler = np.array([[0.02, -0.06, -0.05], [-old] * 3, [-hollow] * 3, [0.02] * 3, [1, 1, 1]])
    albedo = np.asarray(cv2.transform(maps, np.vstack([(paler * subject.skin).T, np.zeros(5)])), np.float32)
    if subject.beard > 0:
        cover = np.maximum(_BEARD * subject.beard, _MOUSTACHE * min(subject.moustache, 0.9))
        hair = grey(0.9 + 0.18 * noise) * np.array([*subject.hair, 0], np.float32)
        albedo += grey(cover) * (hair - albedo)
    return albedo


def light_on(outward: Single, shot: Shot) -> Single:
    """Brightness (...) of a surface with unit normals (3, ...) in camera axes."""
    wrapped = 0.8 * np.maximum(along(shot.light, outward), -0.25) + 0.2
    sky = 0.5 - 0.25 * outward[1] + 0.25 * outward[2]
    return np.asarray(shot.ambient * sky + (1.08 - 0.75 * shot.ambient) * wrapped)


def shine_on(outward: Single, shot: Shot) -> Single:
    """The gloss of skin (...) in white, 0 to 255 (Blinn 1977: power of the half-way vector)."""
    half = shot.light + np.array([0.0, 0.0, 1.0])
    half /= math.sqrt(half @ half)
    return np.asarray(90 * shot.shine * np.maximum(along(half, outward), 0) ** 14)


def along(direction: Array, vectors: Single) -> Single:
    """The component (...) of vectors (3, ...) along a direction (3,)."""
    return np.asarray((direction.astype(np.float32) @ vectors.reshape(3, -1)).reshape(vectors.shape[1:]))
