"""Places of the crop around a face: in training, in validation, and around a detector's squares."""

from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt

from fkd.data.counter_random import CounterRandom
from fkd.geometry import Jitter, Window, square, square_around
from fkd.io.ranges import Scale, Size, Within
from fkd.types import Points

Sizes = npt.NDArray[np.int64]


class CropPlan(Protocol):
    """Chooses the windows around faces. Squares and windows are (4,) or (N, 4) boxes in photo pixels."""

    size: int
    """Width and height of the crop in pixels."""

    window: Window
    """From squares around labelled points, or a detector's squares, to the windows that the net sees."""

    def training(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        """Training windows (N, 4) for points (N, K, 2) on photos of heights and widths (N, 2)."""
        ...

    def validation(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        """Validation windows; the random numbers of a face are the same in every call."""
        ...


class FaceCrop:
    """A window around the face, `scale` times as wide as the square around its points.

    In training and validation the square has the jitter of a detector.
    """

    def __init__(self, size: Size, scale: Scale, jitter: Jitter) -> None:
        _check(size, scale)
        self.size, self.window, self.jitter = size, Window(scale, 0.0), jitter

    def training(self, keypoints: Points, photos: Sizes, random: CounterRandom) -> Points:
        return self.window(self.jitter.by(square_around(keypoints), random.normal(3).T))

    validation = training

    def needed_scale(self, keypoints: Points, random: CounterRandom) -> npt.NDArray[np.float32]:
        """(N, K) the least `scale` with which the training windows of points (N, K, 2) hold each of them."""
        squares = self.jitter.by(square_around(keypoints), random.normal(3).T)[:, None]
        low, high = squares[..., :2], squares[..., 2:]
        scale: npt.NDArray[np.float32] = np.abs((2 * keypoints - low - high) / (high - low)).max(axis=-1)
        return scale


class FrameCrop:
    """The notebooks' crop: the short side of the photo is rescaled to `short_side`, then `size` pixels are cut out.

    At a random place in training, in the centre in validation. In prediction the window is `scale` times as wide as a
    face's square and moved down by `y` of the square's width, as these crops lie around their faces on average.
    """

    def __init__(self, size: Size, short_side: Annotated[int, Within(1, 1e6)], scale: Scale, y: float) -> None:
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
