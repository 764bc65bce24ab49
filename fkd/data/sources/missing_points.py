"""Fills in keypoints that are not labelled."""

import numpy as np
import numpy.typing as npt

from fkd.geometry import similarity, transform
from fkd.types import Points

_SAMPLE = 20_000
_PIECE = 10_000  # faces


def filled(keypoints: Points, visible: npt.NDArray[np.bool_], normaliser: tuple[int, int]) -> Points:
    """Faces (N, K, 2) with their unknown points taken from the median shape, fitted to the known ones.

    No loss or error counts these points, but the window around a face includes them. The median is taken point by
    point, over 20,000 evenly spread faces, in the frame of each face's normaliser points, which must be known; it is
    scaled, turned and moved onto a face's known points by least squares. A point that no face has lies midway between
    the normaliser points.

    Args:
        keypoints: (N, K, 2), of any value where not visible.
        visible: (N, K) whether each point is known.
        normaliser: the schema's two points.
    """
    rows = np.flatnonzero(~visible.all(axis=1))
    if not len(rows):
        return keypoints
    seen = np.linspace(0, len(keypoints) - 1, min(len(keypoints), _SAMPLE)).astype(np.int64)
    median = _median_shape(keypoints[seen], visible[seen], normaliser)
    complete = keypoints.copy()
    for piece in np.split(rows, range(_PIECE, len(rows), _PIECE)):
        fitted = transform(median, similarity(median, keypoints[piece], visible[piece]))
        complete[piece] = np.where(visible[piece][..., None], keypoints[piece], fitted)
    return complete


def _median_shape(keypoints: Points, visible: npt.NDArray[np.bool_], normaliser: tuple[int, int]) -> Points:
    """(K, 2) median of faces (N, K, 2): a mean would suffer from faces whose normaliser points nearly coincide."""
    framed = transform(keypoints, similarity(keypoints[:, normaliser], np.array([[0, 0], [1, 0]])))
    shape = np.tile(np.array([0.5, 0.0], np.float32), (keypoints.shape[1], 1))
    for point in np.flatnonzero(visible.any(axis=0)):
        shape[point] = np.median(framed[visible[:, point], point], axis=0)
    return shape
