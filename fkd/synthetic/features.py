"""Eyes, brows, nose and mouth: drawn sharply around the projected points."""

import math
from typing import NamedTuple

import numpy as np

from fkd.synthetic.canvas import Floats, around, blend, fill, ribbon, soft_fill, stroke
from fkd.synthetic.head_model import Array
from fkd.synthetic.subject import Shot, Subject
from fkd.types import Image

_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_BALL = np.array([1, 0.83, 0.38, 0.19])[:, None, None]  # sizes of the iris with and without its rim, pupil and glint
_WHITE, _PUPIL, _GLINT, _OPAQUE = np.array([240.0, 234, 230]), np.full(3, 8.0), np.full(3, 245.0), np.array([255.0])
_ABOVE = np.array([0.0, 0.2])
_OUTWARDS = np.stack([np.linspace(1, 0.5, 13), np.linspace(0.5, 1, 13)])  # widths along the lashes of both eyes
_BROW = np.concatenate([np.linspace(0.35, 1, 6), np.linspace(1, 0.85, 11)])
_BROWS = np.stack([_BROW, _BROW[::-1]])
_ARCH = np.sin(np.linspace(0.25, np.pi - 0.25, 17))
_MOUSTACHE = np.zeros((5, 68))
for _row, _near in enumerate(([48, 48, 60, 49], [31, 50, 49], [33, 51, 51], [35, 52, 53], [54, 54, 64, 53])):
    np.add.at(_MOUSTACHE[_row], _near, 1 / len(_near))


def _spline(count: int, per: int) -> Array:
    """Catmull-Rom weights (N, count): a smooth open curve through `count` points, `per` steps between neighbours."""
    weights = []
    for i in range(count - 1):
        for t in np.arange(per) / per:
            row = np.zeros(count)
            for j, w in zip(
                (i - 1, i, i + 1, i + 2),
                (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2),
                strict=True,
            ):
                row[min(max(j, 0), count - 1)] += w / 2
            weights.append(row)
    weights.append(np.eye(count)[-1])
    return np.array(weights)


_SPLINES = {count: _spline(count, 4) for count in (3, 4, 5, 7)}


def curve(points: Floats) -> Array:
    """Smooth lines (..., N, 2) through 3, 4, 5 or 7 points (..., P, 2)."""
    return np.asarray(_SPLINES[points.shape[-2]] @ points)


class Flat(NamedTuple):
    """A projected face."""

    points: Array  # (68, 2) pixels
    basis: Array  # (2, 3) pixels per head unit, along the head's axes
    unit: float  # pixels per head unit, without foreshortening

    def along(self, *steps: tuple[float, float, float]) -> Array:
        """Steps in head units -> (N, 2) pixels."""
        return np.asarray(np.array(steps) @ self.basis.T)

    def disc(self, width: float, height: float) -> Array:
        """The outline (16, 2) of an ellipse in the plane of the face, about (0, 0); half axes in head units."""
        return np.asarray(_CIRCLE * [width, height] @ self.basis[:, :2].T)


def draw_eyes(image: Image, flat: Flat, lights: tuple[Array, Array], subject: Subject, shot: Shot) -> None:
    """The eyes with lids and lashes; `lights` (3,) are the colours of white at each, in the order of the points."""
    eyes, unit = flat.points[36:48].reshape(2, 6, 2), flat.unit
    upper, lower = curve(eyes[:, :4]), curve(eyes[:, [3, 4, 5, 0]])
    gaze, shadow, crease = flat.along((0.16 * shot.gaze[0], 0.12 * shot.gaze[1] - 0.01, 0), (0, 0.02, 0), (0, -0.07, 0))
    circles = (eyes.sum(axis=1) / 6 + gaze)[:, None, None] + _BALL * flat.disc(0.145, 0.145)
    circles[:, 3] += 0.055 * unit * (shot.light[:2] - _ABOVE)
    raised = upper + (upper - lower[:, ::-1]).mean(axis=1, keepdims=True) * 0.15 + crease
    lashes = ribbon(upper, unit * (0.03 + 0.045 * subject.lashes) * _OUTWARDS)
    openings = np.concatenate([upper, lower], axis=1)
    for i, light in enumerate(lights):
        skin, iris = subject.skin * light, subject.iris * light
        patch, corner = around(image, openings[i], 2)
        if patch.size == 0:
            continue
        inside = np.zeros(patch.shape[:2], np.uint8)
        fill(inside, openings[i] - corner, _OPAQUE)
        ball = np.empty_like(patch)
        ball[:] = np.minimum(_WHITE * np.sqrt(light), 255)
        for disc, colour in zip(circles[i] - corner, (iris * 0.5, iris, _PUPIL, _GLINT), strict=True):
            fill(ball, disc, colour)
        stroke(ball, upper[i] - corner + shadow, iris * 0.6, 0.03 * unit)
        blend(patch, ball, inside)
        stroke(image, lower[i], skin * [0.72, 0.6, 0.58], 0.02 * unit)
        fill(image, lashes[i], skin * (0.42 - 0.3 * subject.lashes))
        stroke(image, raised[i, 2:-2], skin * [0.74, 0.68, 0.66], 0.02 * unit)


def draw_wrinkles(image: Image, flat: Flat, light: Array, subject: Subject) -> None:
    """The wrinkles of an old face: from nose to mouth, under the eyes, across the forehead."""
    points, width = flat.points, 0.025 * flat.unit
    colour = subject.skin * light * (0.92 - 0.22 * subject.age)
    for nose, mouth, eye, side in ((31, 48, (36, 41, 40, 39), -1), (35, 54, (45, 46, 47, 42), 1)):
        steps = flat.along((0.10 * side, -0.08, 0), (0.10 * side, -0.05, 0), (0.16 * side, 0.12, 0))
        fold = points[[nose, nose, mouth]] * [[1], [0.4], [1]] + points[[nose, mouth, mouth]] * [[0], [0.6], [0]]
        if subject.beard == 0:
            stroke(image, curve(fold + steps), colour, width)
        stroke(image, curve(points[list(eye)] + flat.along((0, 0.13, 0)))[3:], colour, width)
    for up in (0.42, 0.68):
        stroke(image, curve(points[[18, 20, 23, 25]] + flat.along((0, -up, 0))), colour, width)


def draw_nose(image: Image, flat: Flat, light: Array, subject: Subject) -> None:
    """Nostrils, wings and the underside."""
    skin = subject.skin * light
    points, nostril = flat.points, flat.disc(0.085, 0.045)
    higher = flat.along((0, -0.055, 0))
    for wing, inner, side in ((31, 32, -1), (35, 34, 1)):
        middle = 0.45 * points[wing] + 0.55 * points[inner] + higher
        fill(image, middle + nostril, skin * [0.42, 0.34, 0.32])
        bow = flat.along((-0.02 * side, -0.03, 0), (0.07 * side, -0.10, -0.05), (0.04 * side, -0.24, -0.02))
        stroke(image, curve(points[wing] + bow), skin * [0.74, 0.66, 0.64], 0.025 * flat.unit)
    stroke(image, curve(points[31:36])[3:-3] + 0.6 * higher, skin * [0.7, 0.6, 0.58], 0.02 * flat.unit)


def draw_mouth(image: Image, flat: Flat, light: Array, subject: Subject) -> None:
    """The lips, and the dark inside with teeth if the mouth is open."""
    points, unit = flat.points, flat.unit
    lips = subject.lips * light
    top, bottom = curve(points[48:55]), curve(points[[54, 55, 56, 57, 58, 59, 48]])
    inner_top, inner_bottom = curve(points[60:65]), curve(points[[64, 65, 66, 67, 60]])
    fill(image, np.concatenate([top, inner_top[::-1]]), lips * 0.84)
    fill(image, np.concatenate([inner_bottom[::-1], bottom[::-1]]), lips)
    gloss = 0.5 * (curve(points[55:60]) + inner_bottom)
    stroke(image, gloss[5:-5], lips * 1.12 + 8, 0.05 * unit)
    gap = math.dist(points[62], points[66]) / unit
    fill(image, np.concatenate([inner_top, inner_bottom]), np.array([70.0, 26, 26]) * light)
    if gap > 0.1:
        share = min(max(0.16 / gap, 0.25), 0.9)
        teeth = inner_top * (1 - share) + inner_bottom[::-1] * share
        fill(image, np.concatenate([inner_top[2:-2], teeth[3:-3][::-1]]), np.array([226.0, 220, 206]) * light)
        if gap > 0.35:
            tongue = inner_bottom[4:-4] * 0.55 + inner_top[::-1][4:-4] * 0.45
            fill(image, np.concatenate([inner_bottom[4:-4], tongue[::-1]]), np.array([168.0, 78, 78]) * light)
    stroke(image, inner_top, lips * [0.5, 0.42, 0.42], 0.03 * unit)
    if gap > 0.05:
        stroke(image, inner_bottom, lips * 0.72, 0.02 * unit)


def draw_brows(image: Image, flat: Flat, light: Array, subject: Subject) -> None:
    """Brows and moustache, with soft edges."""
    points, unit = flat.points, flat.unit
    colour, softness = subject.hair * 0.8 * light, max(0.02 * unit, 0.3)
    brows = curve(points[17:27].reshape(2, 5, 2)) + flat.along((0, 0.03, 0))
    soft_fill(image, ribbon(brows, unit * subject.brow * _BROWS), 190, colour, softness)
    if subject.moustache > 0.05:
        grown = min(subject.moustache, 1)
        outline = ribbon(curve(_MOUSTACHE @ points), unit * (0.10 + 0.14 * grown) * _ARCH)
        soft_fill(image, outline[None], 180 * min(1, 0.4 + grown), colour, softness)
