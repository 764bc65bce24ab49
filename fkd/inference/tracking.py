"""Faces of a video that a detector loses for some frames."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from fkd.types import Face

_T = TypeVar("_T")

_SAME = 0.5
"""Distance of the centres, in box widths, below which a face is the one of the frame before."""
_DRIFT = 0.1
"""How much farther it may have come for each frame in which it was lost. Since another face may be meant, the last
place then stays hidden, too."""
_GROWTH = 0.05
"""Of a box's width, for each frame since or until the face is found: nobody knows where it went."""


@dataclass(frozen=True)
class _Track:
    face: Face  # as it was last found
    frame: int  # number of that frame


def bridged(frames: Iterable[tuple[_T, Sequence[Face]]], reach: int) -> Iterator[tuple[_T, list[Face]]]:
    """The frames of a video with the faces that were lost for a while put back, for hiding them.

    A face that is not found stays where it was last found for `reach` frames, and is put into the `reach` frames before
    it is first found. When it is found again within `reach` frames, it has moved evenly from one place to the other.
    Only faces with keypoints are followed.

    Args:
        frames: what belongs to each frame, such as its image, and its faces.
        reach: number of frames; so many are held back.

    Returns:
        The same frames in order, each with its own faces first.
    """
    held: deque[tuple[_T, list[Face]]] = deque()
    tracks: list[_Track] = []
    for number, (item, faces) in enumerate(frames):
        held.append((item, list(faces)))
        known = [face for face in faces if face.is_known]
        joined = _join(known, tracks, number)
        for i, face in enumerate(known):
            last = tracks[joined[i]] if i in joined else None
            gap = reach + 1 if last is None else number - last.frame
            for back in range(1, min(gap, len(held))):
                held[-1 - back][1].append(_grown(face, back) if last is None else _between(face, last.face, back, gap))
        ended = {j for i, j in joined.items() if _distance(known[i], tracks[j].face) < _SAME}
        tracks = [track for j, track in enumerate(tracks) if j not in ended and number - track.frame <= reach]
        held[-1][1].extend(_grown(track.face, number - track.frame) for track in tracks)
        tracks += [_Track(face, number) for face in known]
        if len(held) > reach:
            yield held.popleft()
    yield from held


def _join(faces: Sequence[Face], tracks: Sequence[_Track], number: int) -> dict[int, int]:
    """Row of a face in frame `number` -> row of the track that it continues; the nearest pairs first."""
    pairs = sorted(
        (_distance(face, track.face), i, j) for i, face in enumerate(faces) for j, track in enumerate(tracks)
    )
    joined: dict[int, int] = {}
    for distance, i, j in pairs:
        limit = _SAME + _DRIFT * (number - tracks[j].frame - 1)
        if distance < limit and i not in joined and j not in joined.values():
            joined[i] = j
    return joined


def _distance(face: Face, other: Face) -> float:
    """Of the boxes' centres, in widths of the smaller box."""
    apart = np.linalg.norm((face.box[:2] + face.box[2:] - other.box[:2] - other.box[2:]) / 2)
    return float(apart / max(min(face.box[2] - face.box[0], other.box[2] - other.box[0]), 1e-3))


def _between(face: Face, last: Face, back: int, gap: int) -> Face:
    """Where a face was `back` frames ago, if it was last found `gap` frames ago."""
    share = np.float32(back / gap)
    box, keypoints = (share * a + (1 - share) * b for a, b in ((last.box, face.box), (last.keypoints, face.keypoints)))
    return _grown(replace(face, box=box, keypoints=keypoints), min(back, gap - back))


def _grown(face: Face, frames: int) -> Face:
    """The face so many frames away from where it was found: larger, and without a score."""
    centre, factor = (face.box[:2] + face.box[2:]) / 2, np.float32(1 + _GROWTH * frames)
    box, keypoints = (
        (centre + factor * (points - centre)).astype(np.float32) for points in (face.box.reshape(2, 2), face.keypoints)
    )
    return replace(face, box=box.ravel(), keypoints=keypoints, score=None)
