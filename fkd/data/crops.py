"""Where the crop around a face lies: while training, in validation, and around the squares that use will bring."""

from typing import Protocol

import numpy as np

from fkd.geometry import Jitter, Window, square, square_around
from fkd.types import Points


class CropPlan(Protocol):
    """Chooses the window of a face. Squares and windows are (4,) or (N, 4) boxes in photo pixels."""

    size: int
    """Width and height of the crop in pixels."""

    window: Window
    """From squares around the points, be they labelled or found by a detector, to what the net is shown."""

    def training(self, keypoints: Points, photo: tuple[int, int], rng: np.random.Generator) -> Points:
        """A training window for the points (K, 2) of a photo (height, width)."""
        ...

    def validation(self, keypoints: Points, photo: tuple[int, int], rng: np.random.Generator) -> Points:
        """The validation window; `rng` is the same at every call for a face."""
        ...


class FaceCrop:
    """A window around the face, as wide as `scale` times the square around its points.

    While training and in validation the square is drawn as a detector would have found it.
    """

    def __init__(self, size: int, scale: float, jitter: Jitter) -> None:
        _check(size, scale)
        self.size, self.window, self.jitter = size, Window(scale, 0.0), jitter

    def training(self, keypoints: Points, photo: tuple[int, int], rng: np.random.Generator) -> Points:
        return self.window(self.jitter(square_around(keypoints), rng))

    validation = training


class FrameCrop:
    """The notebooks' window: the short side rescaled to `short_side`, then `size` pixels of it.

    At random in training, in the centre otherwise. On a photo with any number of faces the window lies about a face's
    square as the frames' windows lie about theirs: `scale` times as wide, moved by `y` of its width.
    """

    def __init__(self, size: int, short_side: int, scale: float, y: float) -> None:
        _check(size, scale)
        if not size <= short_side:
            raise ValueError(f"crop: expected a short side of at least the size, {size} pixels, found {short_side}")
        self.size, self.short_side, self.window = size, short_side, Window(scale, y)

    def training(self, keypoints: Points, photo: tuple[int, int], rng: np.random.Generator) -> Points:
        return self._window(photo, rng.random(2))

    def validation(self, keypoints: Points, photo: tuple[int, int], rng: np.random.Generator) -> Points:
        return self._window(photo, np.array([0.5, 0.5]))

    def _window(self, photo: tuple[int, int], place: np.ndarray) -> Points:
        """The window at a `place` (x, y), each from 0 (left, top) to 1 (right, bottom)."""
        extent = np.array(photo[::-1], np.float64)
        side = extent.min() * self.size / self.short_side
        return square(place * (extent - side) + side / 2 - 0.5, side)


def _check(size: int, scale: float) -> None:
    if not (isinstance(size, int) and size > 0 and scale > 0):
        raise ValueError(f"crop: expected a whole size and a scale above 0, found size={size!r}, scale={scale!r}")
