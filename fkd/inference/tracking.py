"""Faces of a video that are followed from frame to frame by their own keypoints.

The crop of a face is cut around its points in the frame before, upright by their roll, so that the detector, which
takes most of the time, only looks where a face may have come or gone: at regular intervals, and when a face is lost.
A face is lost when its points look like no face, the net is no longer sure of them, they jump or change their size,
leave the image or fall on another face; or when the detector does not find it again: the first time it looks, because
it may be none, and later for 60 frames, because it may be turned away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.detect import Candidates
from fkd.geometry import eye_rolls, similarity, square_around
from fkd.inference.joining import SAME, boxes_of, distances, joined
from fkd.types import Face, Image, Points

if TYPE_CHECKING:
    from fkd.inference.predictor import Predictor

_APART, _SCALED, _TURNED = 0.1, 1.1, 10.0
"""Largest differences of a crop's square from that around the points found in it: distance of the centres in widths,
ratio of the widths, degrees. Beyond them the points are found again in a crop around them."""
_STILL = 0.3
"""The same for a face at rest, as a share of these: its crop stays, or noise of the points would move it."""
_ONE_FACE = 0.3
"""Distance of two boxes, in widths of the smaller, below which they are of one face."""
_RESIZED = 1.5
"""Largest ratio of a face's widths in successive frames."""
_UNSURE = 2.0
"""Expected error, relative to when the detector found the face last, from which on the face is lost."""
_UNCONFIRMED = 60
"""Frames for which a face that the detector has found twice is followed without being found again."""
_MEMORY = 30
"""Frames after which a lost face is forgotten."""
_GLIDE = 10
"""Frames for which a lost face is expected to move on as before."""


class _Crop(NamedTuple):
    """Where a face is searched."""

    square: Points  # (4,) upright
    roll: float  # degrees


@dataclass(eq=False)
class _Track:
    """A face that is followed.

    Attributes:
        id: of the face.
        face: as found last; its box is the square around its points.
        roll: of the face, in degrees.
        frame: number of the frame in which it was found last.
        born, confirmed: numbers of the frames in which the detector found it first and last.
        error: its expected error when the detector found it last; 0 if the net gives none.
        velocity: (2,) pixels a frame.
        is_lost: whether it is not followed until the detector finds it again.
        crop: around the face, as long as it is at rest.
    """

    id: int
    face: Face
    roll: float
    frame: int
    born: int = field(init=False)
    confirmed: int = field(init=False)
    error: float = field(init=False)
    velocity: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    is_lost: bool = False
    crop: _Crop = field(init=False)

    def __post_init__(self) -> None:
        self.born, self.crop = self.frame, _Crop(self.face.box, self.roll)
        self.confirm(self.face.score)

    def expected(self, frame: int) -> _Crop:
        """Where it should be in a later frame."""
        shift = self.velocity * min(frame - self.frame, _GLIDE)
        place = _Crop((self.face.box + np.tile(shift, 2)).astype(np.float32), self.roll)
        return place if _differ(place, self.crop, _STILL) else self.crop

    def move(self, face: Face, roll: float, frame: int) -> None:
        """Take over what was found in a later frame."""
        step = (face.box - self.face.box).reshape(2, 2).mean(axis=0) / (frame - self.frame)
        self.velocity = (self.velocity + step) / 2
        self.face, self.roll, self.frame, self.is_lost = face, roll, frame, False
        if _differ(here := _Crop(face.box, roll), self.crop, _STILL):
            self.crop = here

    def confirm(self, score: float | None) -> None:
        """Note that the detector has found the face, too."""
        self.face = replace(self.face, score=score)
        self.confirmed, self.error = self.frame, _expected_error(self.face)

    def goes_on(self, face: Face) -> bool:
        """Whether what was found in the crop, in the next frame, is still this face."""
        ratio = (face.box[2] - face.box[0]) / (self.face.box[2] - self.face.box[0])
        is_near = distances(face.box, self.face.box)[0, 0] < SAME and 1 / _RESIZED < ratio < _RESIZED
        return bool(is_near and (not self.error or _expected_error(face) < _UNSURE * self.error))


class Tracker:
    """Follows the faces of a video; call it once for every frame, in order.

    Args:
        predictor: finds the points, and the faces where the detector has to look.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._tracks: list[_Track] = []
        self._frame, self._ids = -1, 0
        self._shape: tuple[int, ...] | None = None

    def __call__(self, image: Image, candidates: Candidates | None = None) -> list[Face]:
        """The faces of the next frame, those known for longest first.

        The box of a face is the square around its points, its score that of the frame where the detector found it last.

        Args:
            image: (H, W) or (H, W, 3). Faces of frames of another size are new ones.
            candidates: the detector's squares on it, if it has looked.
        """
        self._frame += 1
        is_new = image.shape[:2] != self._shape
        if is_new:
            self._shape, self._tracks = image.shape[:2], []
        self._follow(image)
        if candidates is None and (is_new or any(_is_searched(self._frame - track.frame) for track in self._tracks)):
            candidates = self._predictor.detect(image)
        if candidates is not None:
            self._compare(image, candidates)
        self._tracks = [track for track in self._tracks if self._frame - track.frame <= _MEMORY]
        return [replace(track.face, id=track.id) for track in self._tracks if not track.is_lost]

    def _follow(self, image: Image) -> None:
        """Find the faces of the frame before, except those that are lost."""
        tracks = [track for track in self._tracks if not track.is_lost]
        places = [track.expected(self._frame) for track in tracks]
        found = self._search(image, places, [track.face.score for track in tracks])
        moved = [
            (float(distances(each[0].box, place.square)[0, 0]), track, *each)
            for track, place, each in zip(tracks, places, found, strict=True)
            if each is not None and track.goes_on(each[0])
        ]
        for track in tracks:
            track.is_lost = True  # unless it moves on
        kept: list[Face] = []
        for _, track, face, roll in sorted(moved, key=lambda each: each[0]):  # the one where it was expected first
            if not _is_one_of(face, kept):
                kept.append(face)
                track.move(face, roll, self._frame)

    def _compare(self, image: Image, candidates: Candidates) -> None:
        """Confirm faces, find lost ones again and begin new ones, by what the detector has found."""
        squares, scores, _, rolls = candidates
        live = [track for track in self._tracks if not track.is_lost]
        lost = [track for track in self._tracks if track.is_lost]
        known = [None if np.isnan(score) else float(score) for score in scores]
        pairs = joined(squares, boxes_of([track.face for track in live]), 0)
        for i, j in pairs.items():
            live[j].confirm(known[i])
        others = [i for i in range(len(squares)) if i not in pairs]
        crops = [_Crop(squares[i], 0.0 if rolls is None else float(rolls[i])) for i in others]
        new: list[tuple[Face, float]] = []
        for each in self._search(image, crops, [known[i] for i in others]):
            if each is None or _is_one_of(each[0], [face for face, _ in new]):
                continue
            near = [track for track in live if _is_one_of(each[0], [track.face])]
            for track in near:
                track.confirm(each[0].score)
            if not near:
                new.append(each)
        places = np.array([track.expected(self._frame).square for track in lost])
        pairs = joined(boxes_of([face for face, _ in new]), places, [self._frame - track.frame - 1 for track in lost])
        for i, (face, roll) in enumerate(new):
            if i in pairs:
                lost[pairs[i]].move(face, roll, self._frame)
                lost[pairs[i]].confirm(face.score)
            else:
                self._tracks.append(_Track(self._ids, face, roll, self._frame))
                self._ids += 1
        for track in live:
            if self._frame - track.confirmed > (_UNCONFIRMED if track.confirmed > track.born else 0):
                track.is_lost = True

    def _search(
        self, image: Image, crops: Sequence[_Crop], scores: Sequence[float | None], again: bool = True
    ) -> list[tuple[Face, float] | None]:
        """The face in each crop, with the square around its points as box, and its roll; None where there is none."""
        if not crops:
            return []
        squares, rolls = (np.array(each, np.float32) for each in zip(*crops, strict=True))
        candidates = Candidates(squares, np.array(scores, np.float32), rolls=rolls)  # None becomes NaN
        faces = self._predictor.faces_in(image, candidates)
        around = [self._around(face, image) for face in faces]
        found = [
            None if there is None else (replace(face, box=there.square), there.roll)
            for face, there in zip(faces, around, strict=True)
        ]
        if again:
            far = [
                (i, there)
                for i, (there, crop) in enumerate(zip(around, crops, strict=True))
                if there is not None and _differ(there, crop)
            ]
            second = self._search(image, [there for _, there in far], [scores[i] for i, _ in far], again=False)
            for (i, _), each in zip(far, second, strict=True):
                found[i] = each
        return found

    def _around(self, face: Face, image: Image) -> _Crop | None:
        """The crop around a face's points; None if they are no face in the image."""
        if not (face.is_known and self._predictor.is_plausible(face)):
            return None
        roll = self._roll(face.keypoints)
        square = square_around(face.keypoints, np.array(roll))
        centre, size = (square[:2] + square[2:]) / 2, image.shape[1::-1]
        is_inside = (centre >= 0).all() and (centre < size).all()
        return _Crop(square, roll) if is_inside and square[2] - square[0] >= 1 else None

    def _roll(self, keypoints: Points) -> float:
        """Roll of a face: of its whole shape, because the line of the eyes is no measure in a profile."""
        shapes, schema = self._predictor.net.metadata.shapes, self._predictor.schema
        if shapes is None:
            return float(eye_rolls(keypoints, schema))
        matrix = similarity(shapes.mean, keypoints)
        return float(eye_rolls(shapes.mean @ matrix[:, :2].T, schema))


def _differ(crop: _Crop, other: _Crop, share: float = 1.0) -> bool:
    """Whether two crops differ by more than a share of the largest differences."""
    ratio = (crop.square[2] - crop.square[0]) / (other.square[2] - other.square[0])
    turn = (crop.roll - other.roll + 180) % 360 - 180
    is_near = distances(crop.square, other.square)[0, 0] < share * _APART
    is_near &= abs(math.log(ratio)) < share * math.log(_SCALED)
    return not (is_near and abs(turn) < share * _TURNED)


def _is_searched(lost: int) -> bool:
    """Whether the detector looks for a face that was found so many frames ago: 1, 2, 4, ..., less and less often."""
    return lost > 0 and lost & (lost - 1) == 0


def _is_one_of(face: Face, others: Sequence[Face]) -> bool:
    return bool((distances(face.box, boxes_of(others)) < _ONE_FACE).any())


def _expected_error(face: Face) -> float:
    """Mean over the points; 0 if it is unknown."""
    return 0.0 if face.expected_error is None else float(face.expected_error.mean())
