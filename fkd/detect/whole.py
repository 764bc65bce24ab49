"""The image is one face."""

from dataclasses import dataclass

import numpy as np

from fkd.detect.base import Candidates, Limit, Scores
from fkd.geometry import Correction, Jitter, square
from fkd.types import Image, Points


@dataclass(frozen=True)
class WholeImage:
    """Takes every image as one face without a score (NaN), in the largest square in its middle.

    Attributes:
        correction, jitter, limit: see `fkd.detect.Detector`.
    """

    correction: Correction
    jitter: Jitter
    limit: Limit

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`."""
        extent = np.array([image.shape[1::-1]], np.float64)
        return self.correction(square(extent / 2 - 0.5, extent.min(axis=1))), np.full(1, np.nan, np.float32)

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`; without doubtful boxes."""
        return Candidates(*self(image, path))
