"""Where points stand that nobody has labelled."""

import numpy as np
import numpy.typing as npt

from fkd.geometry import similarity, transform
from fkd.types import Points

_SAMPLE = 20_000
_PIECE = 10_000  # faces


def filled(keypoints: Points, visible: npt.NDArray[np.bool_], normaliser: tuple[int, int]) -> Points:
    """Faces (N, K, 2) whose unknown points stand where the median shape, laid on the known ones, has them.

    No loss or error looks at them, but the window around a face does. The median is taken point by point, of 20,000
    faces evenly spread, in the frame of each face's normaliser points, which must be known; then it is scaled, turned
    and moved onto a face's known points by least squares. A point that no face has stands in the middle of the two.

    Args:
        keypoints: (N, K, 2), anything where not visible.
        visible: (N, K).
        normaliser: the schema's two points.
    """
    rows = np.flatnonzero(~visible.all(axis=1))
    if not len(rows):
        return keypoints
    seen = np.linspace(0, len(keypoints) - 1, min(len(keypoints), _SAMPLE)).astype(np.int64)
    median = _median_shape(keypoints[seen], visible[seen], normaliser)
    after = keypoints.copy()
    for piece in np.split(rows, range(_PIECE, len(rows), _PIECE)):
        laid = transform(median, similarity(median, keypoints[piece], visible[piece]))
        after[piece] = np.where(visible[piece][..., None], keypoints[piece], laid)
    return after


def _median_shape(keypoints: Points, visible: npt.NDArray[np.bool_], normaliser: tuple[int, int]) -> Points:
    """(K, 2) of faces (N, K, 2), point by point: one whose normaliser points nearly coincide must not draw it away."""
    framed = transform(keypoints, similarity(keypoints[:, normaliser], np.array([[0, 0], [1, 0]])))
    shape = np.tile(np.array([0.5, 0.0], np.float32), (keypoints.shape[1], 1))
    for point in np.flatnonzero(visible.any(axis=0)):
        shape[point] = np.median(framed[visible[:, point], point], axis=0)
    return shape
