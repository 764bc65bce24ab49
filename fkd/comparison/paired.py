"""Whether one net is really better than another on the same faces, or only luckier in which faces were tested."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_AT_ONCE = 2_000_000  # resampled clusters held in memory


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95 % percentile interval, in the unit of the differences."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def bootstrap(
    differences: npt.NDArray[np.floating],
    resamples: int,
    seed: int,
    clusters: npt.NDArray[np.str_] | None = None,
) -> Interval:
    """The mean of paired differences and how far it would move with other faces.

    The percentile interval of Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13, of paired
    differences as in Koehn, "Statistical Significance Tests for Machine Translation Evaluation" (EMNLP 2004), section
    4. Faces of one person resemble each other, so resampling single faces gives too narrow an interval; with
    `clusters` whole people are drawn with replacement, each with all faces (Davison & Hinkley, "Bootstrap Methods and
    their Application", 1997, section 3.8), and the mean is again one over faces.

    Args:
        differences: (N,) error of the one minus error of the other on each face.
        resamples: how often faces, or people, are drawn anew.
        seed: of the draws.
        clusters: (N,) name of each face's person; None draws single faces.

    Raises:
        ValueError: no face, a difference that is not finite, or not as many names as faces.
    """
    if differences.ndim != 1 or len(differences) == 0 or not np.isfinite(differences).all():
        raise ValueError(f"differences: expected shape (N,), finite, N of at least 1, found {differences.shape}")
    members = np.arange(len(differences))
    if clusters is not None:
        if clusters.shape != differences.shape:
            raise ValueError(f"clusters: expected shape {differences.shape}, found {clusters.shape}")
        _, members = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(members, differences), np.bincount(members)
    rng, means = np.random.default_rng(seed), np.empty(resamples)
    step = max(1, _AT_ONCE // len(sums))
    for start in range(0, resamples, step):
        drawn = rng.integers(len(sums), size=(min(step, resamples - start), len(sums)))
        means[start : start + step] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(differences.mean()), float(low), float(high))
