"""Where points stand that nobody has labelled."""

import numpy as np
import numpy.typing as npt

from fkd.types import Points

_SAMPLE = 20_000
_PIECE = 10_000  # faces
_Numbers = npt.NDArray[np.complex128]


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
    middle = _middle(_numbers(keypoints[seen]), visible[seen], normaliser)
    after = keypoints.copy()
    for piece in np.split(rows, range(_PIECE, len(rows), _PIECE)):
        laid = _laid(middle, _numbers(keypoints[piece]), visible[piece])
        points = np.stack([laid.real, laid.imag], axis=-1).astype(np.float32)
        after[piece] = np.where(visible[piece][..., None], keypoints[piece], points)
    return after


def _numbers(keypoints: Points) -> _Numbers:
    """Points (..., 2) as complex numbers."""
    return keypoints[..., 0] + 1j * keypoints[..., 1].astype(np.float64)


def _middle(faces: _Numbers, visible: npt.NDArray[np.bool_], normaliser: tuple[int, int]) -> _Numbers:
    """(K,) the median shape of faces (N, K): one whose normaliser points nearly coincide must not draw it away."""
    first, second = normaliser
    framed = (faces - faces[:, first, None]) / (faces[:, second] - faces[:, first])[:, None]
    shape = np.full(faces.shape[1], 0.5 + 0j)
    for point in np.flatnonzero(visible.any(axis=0)):
        known = framed[visible[:, point], point]
        shape[point] = np.median(known.real) + 1j * np.median(known.imag)
    return shape


def _laid(shape: _Numbers, faces: _Numbers, visible: npt.NDArray[np.bool_]) -> _Numbers:
    """The shape (K,) scaled, turned and moved onto each of the faces' (N, K) known points by least squares."""
    weights = visible / visible.sum(axis=1, keepdims=True)
    there = np.where(visible, faces, 0)
    origin, middle = (weights * shape).sum(axis=1, keepdims=True), (weights * there).sum(axis=1, keepdims=True)
    spread = (weights * abs(shape - origin) ** 2).sum(axis=1, keepdims=True)
    factor = (weights * (shape - origin).conj() * (there - middle)).sum(axis=1, keepdims=True) / spread
    laid: _Numbers = middle + factor * (shape - origin)
    return laid
