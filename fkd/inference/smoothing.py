"""Smoothed keypoints of a video: the One Euro filter on every face.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012, section 3 and algorithms 1 to 3. Three changes for keypoints: the speed is the length of a point's velocity,
so that rotating the image does not change the result; it is in face widths a second, so that the same settings fit
faces near the camera and far away; and points with a larger expected error than the face's others are smoothed more.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError
from fkd.geometry import square, square_around
from fkd.inference.joining import joined
from fkd.types import Face

_SURENESS = 0.25, 4.0
"""Range of the factors on a point's cutoff frequency."""
_PATIENCE = 5
"""Frames after which a lost face is forgotten."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OneEuro:
    """The filter's settings.

    Attributes:
        min_cutoff: cutoff frequency in Hz for points at rest; lower is smoother.
        beta: how much the cutoff frequency rises, in Hz for each face width a second; higher lags less.
        d_cutoff: cutoff frequency in Hz for the velocity itself.

    Raises:
        UserError: a cutoff is not above 0, or beta is below 0.
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
        """Weight of a new value in the output of a low-pass filter (algorithm 3)."""
        return 1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff, np.float64) * seconds))


class Track:
    """The filter's state for the points of one face.

    Args:
        settings: of the filter.
        points: (K, 2) of the first frame with the face.
        frame: number of that frame.
    """

    def __init__(self, settings: OneEuro, points: _Array, frame: int) -> None:
        self.settings, self.points, self.frame = settings, points, frame
        self._velocity = np.zeros_like(points)  # pixels a second

    def update(self, points: _Array, width: float, sureness: _Array, frame: int, fps: float) -> None:
        """Filter the points (K, 2) of a later frame into `self.points` (algorithm 1), cutoffs times sureness (K, 1)."""
        seconds = (frame - self.frame) / fps
        velocity = (points - self.points) / seconds
        self._velocity += self.settings.alpha(self.settings.d_cutoff, seconds) * (velocity - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True) / width
        cutoff = (self.settings.min_cutoff + self.settings.beta * speed) * sureness
        self.points = self.points + self.settings.alpha(cutoff, seconds) * (points - self.points)
        self.frame = frame


class Smoother:
    """Smooths the faces of a video; call it once for every frame, in order.

    A face is the one with the same id in the frames before, or without ids the nearest one (`fkd.inference.joining`).
    A face that is not found for a few frames is forgotten.

    Args:
        settings: of the filter.
        fps: frames a second.
    """

    def __init__(self, settings: OneEuro, fps: float) -> None:
        self.settings, self.fps = settings, fps
        self._tracks: dict[int, Track] = {}
        self._frame = 0

    def __call__(self, faces: Sequence[Face]) -> list[Face]:
        """The faces of the next frame with smoothed keypoints and boxes, those known for longest first.

        So the index of a face does not change while the faces before it stay.
        """
        self._frame += 1
        tracks = self._tracks = {
            number: track for number, track in self._tracks.items() if self._frame - track.frame <= _PATIENCE + 1
        }
        numbered = dict(sorted(zip(self._numbers(faces), faces, strict=True), key=lambda pair: pair[0]))
        for number, face in numbered.items():
            points = np.concatenate([face.keypoints, face.box.reshape(2, 2)]).astype(np.float64)
            if number in tracks:
                tracks[number].update(points, _width(face), _sureness(face), self._frame, self.fps)
            else:
                tracks[number] = Track(self.settings, points, self._frame)
        return [_placed(face, tracks[number].points) for number, face in numbered.items()]

    def _numbers(self, faces: Sequence[Face]) -> list[int]:
        """The id of each face, or without ids a number that it keeps from frame to frame."""
        if ids := [face.id for face in faces if face.id is not None]:
            return ids
        numbers, tracks = [*self._tracks], self._tracks.values()
        last = np.array([track.points[-2:].ravel() for track in tracks])
        boxes = np.array([face.box for face in faces])
        pairs = joined(boxes, last, [self._frame - track.frame - 1 for track in tracks])
        new = count(max(numbers, default=-1) + 1)
        return [numbers[pairs[i]] if i in pairs else next(new) for i in range(len(faces))]


def _width(face: Face) -> float:
    """Side of the square around a face's points; above 0, since it is a divisor."""
    left, _, right, _ = square_around(face.keypoints)
    return max(float(right - left), 1e-3)


def _sureness(face: Face) -> _Array:
    """(K + 2, 1) mean expected error of the face's points over that of each; 1 for its box.

    The gain of a steady Kalman filter with little motion falls as 1 / the standard deviation of a measurement, and so
    does the cutoff of a low-pass filter with that gain.
    """
    sureness = np.ones((len(face.keypoints) + 2, 1))
    if (errors := face.expected_error) is not None:
        sureness[:-2, 0] = np.clip(errors.mean() / np.maximum(errors, 1e-6), *_SURENESS)
    return sureness


def _placed(face: Face, points: _Array) -> Face:
    """The face with other points, the last two of which are corners of its box, which is made square."""
    keypoints, (low, high) = points[:-2].astype(np.float32), points[-2:]
    return replace(face, keypoints=keypoints, box=square((low + high) / 2, (high - low).mean()))
