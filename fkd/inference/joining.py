"""Which face of a video's frame is which face of the frames before: the one whose box is nearest."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fkd.types import Face, Points

SAME = 0.5
"""Distance of the centres, in box widths, below which a face is the same as in the frame before."""
_DRIFT = 0.1
"""Additional distance for each frame in which the face was lost."""


def boxes_of(faces: Sequence[Face]) -> Points:
    """(N, 4) boxes of N faces."""
    return np.array([face.box for face in faces], np.float32).reshape(-1, 4)


def distances(boxes: Points, others: Points) -> npt.NDArray[np.float32]:
    """(N, M) distances of the centres of boxes (N, 4) and (M, 4), in widths of the smaller box."""
    boxes, others = (np.asarray(each, np.float32).reshape(-1, 4) for each in (boxes, others))
    apart = np.linalg.norm((boxes[:, None, :2] + boxes[:, None, 2:] - others[:, :2] - others[:, 2:]) / 2, axis=-1)
    narrow = np.minimum((boxes[:, 2] - boxes[:, 0])[:, None], others[:, 2] - others[:, 0])
    return np.asarray(apart / np.maximum(narrow, np.float32(1e-3)))


def joined(boxes: Points, last: Points, lost: npt.ArrayLike) -> dict[int, int]:
    """Index of a face -> index of the same face before: the nearest first, each at most once.

    Args:
        boxes: (N, 4) of a frame's faces.
        last: (M, 4) where the faces before were found last.
        lost: (M,) number of frames in between without them.
    """
    apart = distances(boxes, last)
    near = np.argwhere(apart < SAME + _DRIFT * np.asarray(lost, np.float64))
    pairs: dict[int, int] = {}
    for i, j in sorted(near.tolist(), key=lambda pair: apart[pair[0], pair[1]]):
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs
