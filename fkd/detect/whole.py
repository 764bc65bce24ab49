"""The picture is one face."""

import numpy as np

from fkd.detect.base import Correction, Finds
from fkd.geometry import Jitter, square
from fkd.types import Image


class WholeImage:
    """Takes every picture for one face; it gives no score (NaN).

    Args:
        correction: from the largest square in the middle of the picture to the square around the points.
        spread: what the correction leaves.
        limit: see `Detector`.
    """

    def __init__(self, correction: Correction, spread: Jitter, limit: float | None) -> None:
        self.correction, self.spread, self.limit = correction, spread, limit

    def __call__(self, picture: Image, path: str | None = None) -> Finds:
        """(H, W) grey or (H, W, 3) RGB -> one square (1, 4) in photo pixels and (1,) NaN."""
        extent = np.array([picture.shape[1::-1]], np.float64)
        box = square(extent / 2 - 0.5, extent.min(axis=1))
        return self.correction(box), np.full(1, np.nan, np.float32)
