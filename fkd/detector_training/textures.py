"""Images without a face: text, stripes, spots, boxes and clouds."""

import string

import cv2
import numpy as np
import numpy.typing as npt

from fkd.types import Image

_LETTERS = string.ascii_letters + string.digits


def texture(extent: tuple[int, int], rng: np.random.Generator) -> Image:
    """A random texture (height, width) grey, of `extent` (width, height) pixels."""
    width, height = extent
    canvas = _clouds(extent, rng)
    kind = rng.integers(5)
    if kind == 0:
        period, angle = rng.uniform(4, 40), rng.uniform(0, np.pi)
        y, x = np.mgrid[:height, :width]
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period) * rng.uniform(10, 60)
        return _uint8(canvas + wave)
    if kind == 1:
        for _ in range(int(rng.integers(1, 12))):
            words = "".join(rng.choice(list(_LETTERS + " "), int(rng.integers(3, 18))))
            place = (int(rng.integers(-20, max(width, 1))), int(rng.integers(0, height + 10)))
            font, scale = int(rng.integers(0, 8)), float(rng.uniform(0.4, 2.5))
            cv2.putText(canvas, words, place, font, scale, _grey(rng), int(rng.integers(1, 5)), cv2.LINE_AA)
    elif kind == 2:
        for _ in range(int(rng.integers(2, 40))):
            centre = (int(rng.integers(width)), int(rng.integers(height)))
            axes = (int(rng.integers(2, 30)), int(rng.integers(2, 30)))
            thick = int(rng.choice([-1, 1, 2, 4]))
            cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, _grey(rng), thick, cv2.LINE_AA)
    elif kind == 3:
        for _ in range(int(rng.integers(2, 25))):
            corners = np.concatenate([rng.integers(-20, width + 20, (4, 1)), rng.integers(-20, height + 20, (4, 1))], 1)
            if rng.random() < 0.5:
                cv2.fillConvexPoly(canvas, cv2.convexHull(corners.astype(np.int32)), _grey(rng), cv2.LINE_AA)
            else:
                cv2.line(
                    canvas, corners[0].tolist(), corners[1].tolist(), _grey(rng), int(rng.integers(1, 8)), cv2.LINE_AA
                )
    return canvas


def _clouds(extent: tuple[int, int], rng: np.random.Generator) -> Image:
    """Random grey of several scales."""
    total = np.full(extent[::-1], rng.uniform(20, 235), np.float32)
    for cells in (2, 5, 12, 40):
        coarse = rng.normal(0, rng.uniform(0, 35), (cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, extent, interpolation=cv2.INTER_CUBIC)
    return _uint8(total)


def _uint8(image: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _grey(rng: np.random.Generator) -> tuple[int, int, int]:
    level = int(rng.integers(256))
    return level, level, level
