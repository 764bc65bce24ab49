"""Where the crop around a face lies: while training, in validation, and around the squares that use will bring."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from fkd.data.counter_random import CounterRandom
from fkd.geometry import Jitter, Window, square, square_around
from fkd.types import Points

Sizes = npt.NDArray[np.int64]


class CropPlan(Protocol):
    """Chooses the windows of faces. Squares and windows are (4,) or (N, 4) boxes in photo pixels."""

    size: int
    """Width and height of the crop in pixels."""

    window: Window
    """From squares around the points, be they labelled or found by a detector, to what the net is shown."""

    def training(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        """Training windows (N, 4) for points (N, K, 2) on photos whose heights and widths are (N, 2)."""
        ...

    def validation(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        """The validation windows; `random` gives the same at every call for a face."""
        ...


class FaceCrop:
    """A window around the face, as wide as `scale` times the square around its points.

    While training and in validation the square is drawn as a detector would have found it.
    """

    def __init__(self, size: int, scale: float, jitter: Jitter) -> None:
        _check(size, scale)
        self.size, self.window, self.jitter = size, Window(scale, 0.0), jitter

    def training(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        return self.window(self.jitter.by(square_around(keypoints), random.normal(3).T))

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

    def training(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        return self._windows(photos, random.uniform(2))

    def validation(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        return self._windows(photos, np.full((len(photos), 2), 0.5))

    def _windows(self, photos: Sizes, places: npt.NDArray[np.float64]) -> Points:
        """The windows at `places` (N, 2), x and y, each from 0 (left, top) to 1 (right, bottom)."""
        extents = photos[:, ::-1]
        sides = extents.min(axis=1, keepdims=True) * self.size / self.short_side
        return square(places * (extents - sides) + sides / 2 - 0.5, sides[:, 0])


def _check(size: int, scale: float) -> None:
    if not (isinstance(size, int) and size > 0 and scale > 0):
        raise ValueError(f"crop: expected a whole size and a scale above 0, found size={size!r}, scale={scale!r}")
