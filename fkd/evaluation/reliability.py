"""How well the errors that a net expects of its points agree with the true ones."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.models.error_model import ErrorModel, Floats

TENTHS = 10


def reliability(expected: Floats, errors: Floats) -> dict[str, Any] | None:
    """Rank correlation and reliability curve, over all points of all faces.

    Args:
        expected: (N, K) expected errors, shares of the eye distance.
        errors: (N, K) true ones; NaN for points that do not count.

    Returns:
        rank_correlation: of expected with true errors (Spearman).
        tenths: of the points in order of their expected errors; the mean expected and the mean true error of each,
            percent of the eye distance.
        worst_tenth: largest difference between the two, percent of the true one.
        None for fewer than ten points.
    """
    known = np.isfinite(errors)
    expected, errors = expected[known].astype(np.float64), errors[known].astype(np.float64)
    if len(errors) < TENTHS:
        return None
    tenths = np.array_split(np.argsort(expected, kind="stable"), TENTHS)
    means = 100 * np.array([[expected[tenth].mean(), errors[tenth].mean()] for tenth in tenths])
    worst = np.abs(means[:, 0] / np.maximum(means[:, 1], 1e-6) - 1).max()
    return {
        "rank_correlation": _correlation(_ranks(expected), _ranks(errors)),
        "worst_tenth": float(100 * worst),
        "tenths": means.tolist(),
    }


def cross_validated(
    errors: Floats, spreads: Floats | None, subjects: npt.NDArray[np.str_]
) -> npt.NDArray[np.float32] | None:
    """Expected errors (N, K) of each half of the subjects (N,), by an `ErrorModel` of the other half's faces.

    Errors and spreads are those of `ErrorModel.fit`. None if a half has no errors.
    """
    names, numbers = np.unique(subjects, return_inverse=True)
    halves = np.random.default_rng(0).permutation(len(names))[numbers] % 2
    expected = np.zeros(errors.shape, np.float32)
    for half in (0, 1):
        own, others = halves == half, halves != half
        if not np.isfinite(errors[others]).any():
            return None
        own_spreads, other_spreads = (None if spreads is None else spreads[rows] for rows in (own, others))
        model = ErrorModel.fit(errors[others], other_spreads)
        expected[own] = model.expected(own_spreads, int(own.sum()))
    return expected


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """(M,) ranks; equal values have the mean of theirs."""
    _, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[numbers]
    return ranks


def _correlation(first: Floats, second: Floats) -> float:
    """Of (M,) values; 0 if those of one are all equal."""
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))
