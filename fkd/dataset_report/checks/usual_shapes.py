"""The usual shapes of a set of faces, whatever a minority of them look like."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fkd.dataset_report.checks.sampling import Mask, outliers
from fkd.shape_model import aligned
from fkd.types import Points

_CANDIDATES = 100  # faces of which the most central one gives the first alignment
_HALVES, _GROWTHS = 3, 3  # steps with half of the faces, and with all but the outliers
_APART, _FEW = 3.0, 60.0
"""Standard deviations from which on a face is no part of the fit, plus so many over the number of faces: few faces lie
nearer to their own mean than others do."""
_DENSE = 200  # points that are compared at most; of denser schemas every second, every third, ...
_SHRINKAGE = 0.1  # the least share of what regularises the covariance matrix
_FLOOR = 0.03  # share of the identity matrix in that, beside the examples' covariance
_SMALLEST = 1e-4  # standard deviation of a point over the size of the face
_LEAST_SPREAD = 0.3  # of distances to the power 2/3; normal values have 0.2 (in 130 dimensions) to 0.35 (in 6)

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UsualShapes:
    """The mean of the usual shapes, and how they spread about it.

    Attributes:
        mean: (K, 2), centred, of unit norm.
        whitening: (2C, 2C) makes the differences of C points from their means uncorrelated, with unit variance.
        step: 1 if all points are compared, 2 for every second, ...
        own_distances: (N,) of the faces of the fit, each one measured without itself.
    """

    mean: _Values
    whitening: _Values
    step: int
    own_distances: _Values

    def distance(self, keypoints: Points) -> _Values:
        """(N,) Mahalanobis distance of other faces (N, K, 2) from the mean, after alignment without mirroring."""
        differences = (aligned(keypoints, self.mean) - self.mean)[:, :: self.step].reshape(len(keypoints), -1)
        return np.asarray(np.linalg.norm(differences @ self.whitening, axis=1))


def usual_shapes(keypoints: Points, examples: Points | None = None) -> UsualShapes:
    """The usual shapes of faces (N, K, 2), of which nearly half may be wrong, even all in the same way.

    The minimum regularised covariance determinant (Boudt et al., "The Minimum Regularized Covariance Determinant
    Estimator", Statistics and Computing 30, 2020) by the concentration steps of Rousseeuw and Van Driessen, "A Fast
    Algorithm for the Minimum Covariance Determinant Estimator", Technometrics 41, 1999: fit to the half of the faces
    that lie nearest, measure all, and again. It starts from the half whose points all lie near their median places.
    The last steps fit to all but the outliers, so that turned heads, which are like no others but no mistakes, count.

    Args:
        keypoints: of the faces.
        examples: (M, K, 2) right faces from elsewhere; the covariance is regularised with theirs, not with the identity
            matrix alone. Their mean does not count: sets differ in where exactly they place a point.
    """
    mean = _central(keypoints)
    for _ in range(2):
        mean = np.median(aligned(keypoints, mean), axis=0)
    off = np.linalg.norm(aligned(keypoints, mean) - mean, axis=-1)
    distance = (off / np.maximum(np.median(off, axis=0), _SMALLEST)).max(axis=1)
    for step in range(_HALVES + _GROWTHS):
        if step < _HALVES:
            kept = np.zeros(len(keypoints), bool)
            kept[np.argsort(distance, kind="stable")[: len(kept) // 2 + 1]] = True
        else:
            kept = ~unusual(distance, _APART + _FEW / len(keypoints))[0]
        shapes = _fitted(keypoints, kept, mean, examples)
        mean, distance = shapes.mean, shapes.own_distances
    return shapes


def unusual(distance: _Values, deviations: float) -> tuple[Mask, _Values, _Values]:
    """Faces that are farther from the usual shapes than others, of `UsualShapes.distance` (N,).

    The cube root of a chi-squared variable, such as a squared distance, is nearly normal (Wilson and Hilferty, "The
    Distribution of Chi-Square", PNAS 17, 1931).

    Returns:
        (N,) whether they are, by so many standard deviations; (N,) standard deviations above the usual distance; (N,)
        distance over the usual one.
    """
    far, middle, above = outliers(distance ** (2 / 3), deviations, least=_LEAST_SPREAD)
    return far, above, distance / max(middle**1.5, _SMALLEST)


def _central(keypoints: Points) -> _Values:
    """(K, 2) the face, centred and of unit norm, whose median distance from the others is smallest after alignment."""
    centred = keypoints - keypoints.mean(axis=1, keepdims=True, dtype=np.float64)
    shapes = np.ascontiguousarray(centred).view(np.complex128)[..., 0]
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    candidates = shapes[:: -(-len(shapes) // _CANDIDATES)]
    likeness = abs(shapes @ candidates.conj().T)  # rotation is a complex factor
    best = candidates[np.median(likeness, axis=0).argmax()]
    return np.stack([best.real, best.imag], axis=1)


def _fitted(keypoints: Points, kept: Mask, mean: _Values, examples: Points | None) -> UsualShapes:
    """The shapes of the faces that are kept, with the distances of all."""
    some = keypoints[kept]
    for _ in range(2):
        mean = aligned(some, mean).mean(axis=0)
        mean = (mean - mean.mean(axis=0)) / np.linalg.norm(mean - mean.mean(axis=0))
    step = -(-len(mean) // _DENSE)
    differences = (aligned(some, mean) - mean)[:, ::step]
    scale = np.repeat(np.maximum(np.sqrt((differences**2).sum(axis=-1).mean(axis=0) / 2), _SMALLEST), 2)
    count, width = len(some), len(scale)
    target = np.eye(width)
    if examples is not None:
        known = aligned(examples, mean)[:, ::step]
        target = _FLOOR * target + (1 - _FLOOR) * _covariance(known - known.mean(axis=0), scale)
    shrinkage = max(_SHRINKAGE, width / (width + count))
    covariance = (1 - shrinkage) * _covariance(differences, scale) + shrinkage * target
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T / scale[:, None]
    shapes = UsualShapes(mean, whitening, step, np.zeros(0))
    squared = shapes.distance(keypoints) ** 2
    squared[kept] /= 1 - (1 - shrinkage) / count * squared[kept]  # the inverse without one face (Sherman and Morrison)
    return replace(shapes, own_distances=np.sqrt(squared))


def _covariance(differences: _Values, scale: _Values) -> _Values:
    """(2C, 2C) of differences (N, C, 2) from their mean over scales (2C,)."""
    scaled = differences.reshape(len(differences), -1) / scale
    return np.asarray(scaled.T @ scaled / len(scaled))
