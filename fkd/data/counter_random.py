"""Counter-based random numbers for a whole batch at once."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

_Words = npt.NDArray[np.uint64]
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class CounterRandom:
    """A stream of random numbers for each of B items.

    A stream depends only on the seed and the item's number, not on the batch, the process or earlier numbers.
    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), started at a
    hash of the item's number.

    Args:
        seed: a whole number from 0 on.
        items: (B,) numbers of the items.
    """

    def __init__(self, seed: int, items: npt.NDArray[np.int64]) -> None:
        start = _mix(np.array([seed % 2**64], np.uint64) + _GAMMA)
        self._states = _mix(start + items.astype(np.uint64) * _GAMMA)

    def words(self, count: int) -> _Words:
        """The next (B, count) whole numbers of 64 bits."""
        steps = self._states[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GAMMA
        self._states = steps[:, -1]
        return _mix(steps)

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """The next (B, count) numbers from [0, 1)."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, count: int) -> npt.NDArray[np.float64]:
        """The next (B, count) standard normal deviates."""
        deviates: npt.NDArray[np.float64] = ndtri(self.uniform(count) + 2.0**-54)
        return deviates


def _mix(words: _Words) -> _Words:
    """Stafford's variant 13 of a 64-bit finaliser, as in SplitMix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
