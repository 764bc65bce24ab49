"""Eyes, brows, nose, mouth, ears: drawn crisply around the projected points."""

import cv2
import numpy as np
import numpy.typing as npt

from fkd.data.synthesis.canvas import Floats, blend, fill, ribbon, stroke
from fkd.data.synthesis.shape import Array
from fkd.data.synthesis.subject import Shot, Subject
from fkd.types import Image

_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


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
    """A smooth line through 3, 4, 5 or 7 points."""
    return np.asarray(_SPLINES[len(points)] @ points)


def draw_eye(image: Image, eye: Floats, outer: int, basis: Array, light: Array, subject: Subject, shot: Shot) -> None:
    """One eye.

    Args:
        eye: (6, 2) its points, pixels.
        outer: place of the outer corner among them, 0 or 3.
        basis: (2, 3) pixels per head unit.
        light: (3,) how bright white is there.
    """
    unit = float(np.linalg.norm(basis) / np.sqrt(2))
    upper, lower = curve(eye[[0, 1, 2, 3]]), curve(eye[[3, 4, 5, 0]])
    opening = np.concatenate([upper, lower])
    low = np.maximum(np.floor(opening.min(axis=0)).astype(int) - 2, 0)
    high = np.ceil(opening.max(axis=0)).astype(int) + 3
    patch = image[low[1] : high[1], low[0] : high[0]]
    if patch.size == 0:
        return
    inside = np.zeros(patch.shape[:2], np.uint8)
    fill(inside, opening - low, np.array([255.0]))
    ball = np.empty_like(patch)
    ball[:] = np.clip(np.array([240, 234, 230]) * np.sqrt(light), 0, 255)
    centre = eye.mean(axis=0) - low + basis @ [0.16 * shot.gaze[0], 0.12 * shot.gaze[1] - 0.01, 0]
    circle = _CIRCLE @ (basis[:, :2].T)
    fill(ball, centre + 0.145 * circle, subject.iris * light * 0.5)
    fill(ball, centre + 0.12 * circle, subject.iris * light)
    fill(ball, centre + 0.055 * circle, np.array([8.0, 8, 8]))
    stroke(ball, upper - low + basis @ [0, 0.02, 0], subject.iris * 0.6 * light, 0.03 * unit)
    glint = centre + 0.055 * unit * (shot.light[:2] - np.array([0.0, 0.2]))
    fill(ball, glint + 0.028 * circle, np.array([245.0, 245, 245]))
    blend(patch, ball, inside.astype(np.float32) / np.float32(255))
    skin = subject.skin * light
    stroke(image, lower, skin * [0.72, 0.6, 0.58], 0.02 * unit)
    lash = skin * (0.42 - 0.3 * subject.lashes)
    widths = unit * (0.03 + 0.045 * subject.lashes) * np.linspace(1, 0.5, len(upper))[:: 1 if outer == 0 else -1]
    fill(image, ribbon(upper, widths), lash)
    raised = upper + (upper - lower[::-1]).mean(axis=0) * 0.15 + basis @ [0, -0.07, 0]
    stroke(image, raised[2:-2], skin * [0.74, 0.68, 0.66], 0.02 * unit)


def draw_nose(image: Image, points: Floats, basis: Array, light: Array, subject: Subject) -> None:
    """Nostrils, wings and the underside."""
    unit = float(np.linalg.norm(basis) / np.sqrt(2))
    dark = subject.skin * light * [0.42, 0.34, 0.32]
    circle = _CIRCLE @ (basis[:, :2].T)
    for wing, inner, side in ((31, 32, -1), (35, 34, 1)):
        middle = 0.45 * points[wing] + 0.55 * points[inner] + basis @ [0, -0.01, 0]
        fill(image, middle + circle * [0.085, 0.045], dark)
        outline = np.stack(
            [
                points[wing] + basis @ [0.02 * -side, 0.01, 0],
                points[wing] + basis @ [0.07 * side, -0.06, -0.05],
                points[wing] + basis @ [0.04 * side, -0.20, -0.02],
            ]
        )
        stroke(image, curve(outline), subject.skin * light * [0.74, 0.66, 0.64], 0.025 * unit)
    under = curve(points[31:36])[3:-3]
    stroke(image, under, subject.skin * light * [0.7, 0.6, 0.58], 0.02 * unit)


def draw_mouth(image: Image, points: Floats, basis: Array, light: Array, subject: Subject, shot: Shot) -> None:
    """Lips around the inside: dark, with teeth where it is open."""
    unit = float(np.linalg.norm(basis) / np.sqrt(2))
    lips = subject.lips * light
    top, bottom = curve(points[48:55]), curve(points[[54, 55, 56, 57, 58, 59, 48]])
    inner_top, inner_bottom = curve(points[60:65]), curve(points[[64, 65, 66, 67, 60]])
    fill(image, np.concatenate([top, inner_top[::-1]]), lips * 0.84)
    fill(image, np.concatenate([inner_bottom[::-1], bottom[::-1]]), lips)
    gloss = 0.5 * (curve(points[55:60]) + curve(points[[64, 65, 66, 67, 60]]))[5:-5]
    stroke(image, gloss, lips * 1.12 + 8, 0.05 * unit)
    gap = float(np.linalg.norm(points[62] - points[66])) / unit
    inside = np.concatenate([inner_top, inner_bottom])
    fill(image, inside, np.array([70.0, 26, 26]) * light)
    if gap > 0.1:
        share = np.clip(0.16 / gap, 0.25, 0.9)
        teeth = inner_top * (1 - share) + inner_bottom[::-1] * share
        arc = np.concatenate([inner_top[2:-2], teeth[3:-3][::-1]])
        fill(image, arc, np.array([226.0, 220, 206]) * light)
        if gap > 0.35:
            tongue = inner_bottom[4:-4] * 0.55 + inner_top[::-1][4:-4] * 0.45
            fill(image, np.concatenate([inner_bottom[4:-4], tongue[::-1]]), np.array([168.0, 78, 78]) * light)
    stroke(image, inner_top, lips * [0.5, 0.42, 0.42], 0.03 * unit)
    if gap > 0.05:
        stroke(image, inner_bottom, lips * 0.72, 0.02 * unit)


def hair_mask(size: int, points: Floats, basis: Array, subject: Subject) -> npt.NDArray[np.float32]:
    """(size, size) 0 to 1: brows and moustache, soft at their edges."""
    unit = float(np.linalg.norm(basis) / np.sqrt(2))
    mask = np.zeros((size, size), np.uint8)
    grow = np.concatenate([np.linspace(0.35, 1, 6), np.linspace(1, 0.85, 11)])
    for brow, order in ((points[17:22], 1), (points[22:27], -1)):
        line = curve(brow) + basis @ [0, 0.03, 0]
        fill(mask, ribbon(line, unit * subject.brow * grow[::order]), np.array([225.0]))
    if subject.moustache > 0.05:
        line = curve(
            np.stack(
                [
                    points[48] + basis @ [0.0, -0.03, 0],
                    points[[31, 50, 49]].mean(0),
                    points[[33, 51]].mean(0) + basis @ [0, 0.05, 0],
                    points[[35, 52, 53]].mean(0),
                    points[54] + basis @ [0, -0.03, 0],
                ]
            )
        )
        widths = unit * (0.10 + 0.14 * min(subject.moustache, 1)) * np.sin(np.linspace(0.25, np.pi - 0.25, len(line)))
        fill(mask, ribbon(line, widths), np.array([215.0 * min(1, 0.4 + subject.moustache)]))
    return cv2.GaussianBlur(mask, (0, 0), max(0.02 * unit, 0.3)).astype(np.float32) / np.float32(255)
