"""Keypoints of a video without their tremble: the One Euro filter on every face.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012, section 3 and algorithms 1 to 3. Two changes for keypoints: the speed is the length of a point's velocity, so
that a turned image is filtered as the upright one; and it is taken in face widths a second, so that the same numbers
suit a face near the camera and one far away.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError
from fkd.geometry import square, square_around
from fkd.types import Face

_SAME = 0.5
"""Mean distance of the points, in face widths, from which on two faces in a row are not the same one."""
_PATIENCE = 5
"""Frames for which a face that is not found is waited for."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OneEuro:
    """The filter's settings.

    Attributes:
        min_cutoff: cutoff frequency in Hz for points at rest; lower trembles less.
        beta: how much the cutoff frequency rises, in Hz for each face width a second; higher lags less.
        d_cutoff: cutoff frequency in Hz for the velocity itself.

    Raises:
        UserError: a cutoff is not above nought, or beta below it.
    """

    min_cutoff: float
    beta: float
    d_cutoff: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            lowest = 0 if name == "beta" else 1e-6
            if not isinstance(value, float | int) or not lowest <= value < math.inf:
                expected = "0 or more" if name == "beta" else "a number of Hz above 0"
                raise UserError(f"one_euro.{name}: expected {expected}, found {value!r}")

    def alpha(self, cutoff: npt.ArrayLike, seconds: float) -> _Array:
        """Share that a new value has in a low-pass filter's next one (algorithm 3)."""
        return 1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff, np.float64) * seconds))


class Track:
    """One face in time: the filter's memory for its points.

    Args:
        settings: of the filter.
        points: (K, 2) where it is first seen.
        frame: number of that frame.
    """

    def __init__(self, settings: OneEuro, points: _Array, frame: int) -> None:
        self.settings, self.points, self.frame = settings, points, frame
        self._velocity = np.zeros_like(points)  # pixels a second

    def update(self, points: _Array, width: float, frame: int, fps: float) -> None:
        """Takes in the points (K, 2) of a later frame (algorithm 1); `self.points` then holds the filtered ones."""
        seconds = (frame - self.frame) / fps
        velocity = (points - self.points) / seconds
        self._velocity += self.settings.alpha(self.settings.d_cutoff, seconds) * (velocity - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True) / width
        cutoff = self.settings.min_cutoff + self.settings.beta * speed
        self.points = self.points + self.settings.alpha(cutoff, seconds) * (points - self.points)
        self.frame = frame


class Smoother:
    """Smooths the faces of a video; call it once for every frame, in order.

    A face continues the one of the frames before whose points are nearest; nearest pairs are joined first. One that is
    not found for a few frames is forgotten, and one that jumps by half its width is a new one.

    Args:
        settings: of the filter.
        fps: frames a second.
    """

    def __init__(self, settings: OneEuro, fps: float) -> None:
        self.settings, self.fps = settings, fps
        self._tracks: list[Track] = []
        self._frame = 0

    def __call__(self, faces: Sequence[Face]) -> list[Face]:
        """The faces of the next frame with smoothed keypoints and boxes, those known for longest first.

        So a face keeps its place in the list, and with it its number, while those before it stay.
        """
        self._frame += 1
        self._tracks = [track for track in self._tracks if self._frame - track.frame <= _PATIENCE + 1]
        found = [np.concatenate([face.keypoints, face.box.reshape(2, 2)]).astype(np.float64) for face in faces]
        widths = [_width(face) for face in faces]
        joined = self._join(found, widths)
        for i, j in joined.items():
            self._tracks[j].update(found[i], widths[i], self._frame, self.fps)
        for i in range(len(faces)):
            if i not in joined:
                joined[i] = len(self._tracks)
                self._tracks.append(Track(self.settings, found[i], self._frame))
        return [_placed(faces[i], self._tracks[j].points) for i, j in sorted(joined.items(), key=lambda pair: pair[1])]

    def _join(self, found: Sequence[_Array], widths: Sequence[float]) -> dict[int, int]:
        """Row of each face that was there before -> row of its track."""
        pairs = []
        for i, (points, width) in enumerate(zip(found, widths, strict=True)):
            for j, track in enumerate(self._tracks):
                distance = np.linalg.norm(points - track.points, axis=-1).mean() / width
                pairs.append((distance, i, j))
        joined: dict[int, int] = {}
        for distance, i, j in sorted(pairs):
            if distance < _SAME and i not in joined and j not in joined.values():
                joined[i] = j
        return joined


def _width(face: Face) -> float:
    """Side of the square around a face's points; never quite nought, because it is divided by."""
    left, _, right, _ = square_around(face.keypoints)
    return max(float(right - left), 1e-3)


def _placed(face: Face, points: _Array) -> Face:
    """The face at other points, of which the last two are the corners of its box, made square again."""
    keypoints, (low, high) = points[:-2].astype(np.float32), points[-2:]
    return replace(face, keypoints=keypoints, box=square((low + high) / 2, (high - low).mean()))
