"""Faces of a video that a detector loses for some frames."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np

from fkd.inference.joining import SAME, boxes_of, distances, joined
from fkd.types import Face

_T = TypeVar("_T")

_GROWTH = 0.05
"""Growth of a box, as a share of its width, for each frame since or until the face is found."""


class _Track(NamedTuple):
    face: Face  # in the frame where it was last found
    frame: int  # number of that frame


def bridged(frames: Iterable[tuple[_T, Sequence[Face]]], reach: int) -> Iterator[tuple[_T, list[Face]]]:
    """The frames of a video with faces added where the detector lost them, for hiding faces.

    A lost face stays at its last place for `reach` frames, and a new face is added to the `reach` frames before it. If
    a face is found again within `reach` frames, its places in between are interpolated linearly; one that is farther
    away than `SAME` may be another face, so the last place stays, too. Only faces with keypoints are joined.

    Args:
        frames: an item of each frame, such as its image, and its faces.
        reach: number of frames; so many are buffered.

    Returns:
        The same frames in order, each with its own faces first.
    """
    held: deque[tuple[_T, list[Face]]] = deque()
    tracks: list[_Track] = []
    for number, (item, faces) in enumerate(frames):
        held.append((item, list(faces)))
        known = [face for face in faces if face.is_known]
        boxes, last_boxes = boxes_of(known), boxes_of([track.face for track in tracks])
        pairs = joined(boxes, last_boxes, [number - track.frame - 1 for track in tracks])
        for i, face in enumerate(known):
            last = tracks[pairs[i]] if i in pairs else None
            gap = reach + 1 if last is None else number - last.frame
            for back in range(1, min(gap, len(held))):
                held[-1 - back][1].append(_grown(face, back) if last is None else _between(face, last.face, back, gap))
        apart = distances(boxes, last_boxes)
        ended = {j for i, j in pairs.items() if apart[i, j] < SAME}
        tracks = [track for j, track in enumerate(tracks) if j not in ended and number - track.frame <= reach]
        held[-1][1].extend(_grown(track.face, number - track.frame) for track in tracks)
        tracks += [_Track(face, number) for face in known]
        if len(held) > reach:
            yield held.popleft()
    yield from held


def _between(face: Face, last: Face, back: int, gap: int) -> Face:
    """The face `back` frames ago, interpolated; it was last found `gap` frames ago."""
    share = np.float32(back / gap)
    box, keypoints = (share * a + (1 - share) * b for a, b in ((last.box, face.box), (last.keypoints, face.keypoints)))
    return _grown(replace(face, box=box, keypoints=keypoints), min(back, gap - back))


def _grown(face: Face, frames: int) -> Face:
    """A face that was found a number of frames away: larger, and without what was found of it there."""
    centre, factor = (face.box[:2] + face.box[2:]) / 2, np.float32(1 + _GROWTH * frames)
    box, keypoints = (
        (centre + factor * (points - centre)).astype(np.float32) for points in (face.box.reshape(2, 2), face.keypoints)
    )
    return replace(face, box=box.ravel(), keypoints=keypoints, score=None, expected_error=None, visible=None)
