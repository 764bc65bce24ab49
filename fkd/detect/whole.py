"""The image is one face."""

from dataclasses import dataclass

import numpy as np

from fkd.detect.base import Candidates, Scores
from fkd.geometry import Correction, Jitter, square
from fkd.types import Image, Points


@dataclass(frozen=True)
class WholeImage:
    """Takes every image for one face; it has no score (NaN).

    Attributes:
        correction: from the largest square in the middle of the image to the square around the points.
        jitter: what the correction leaves.
        limit: see `fkd.detect.Detector`.
    """

    correction: Correction
    jitter: Jitter
    limit: float | None

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`."""
        extent = np.array([image.shape[1::-1]], np.float64)
        return self.correction(square(extent / 2 - 0.5, extent.min(axis=1))), np.full(1, np.nan, np.float32)

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`; nothing else is looked for."""
        return Candidates(*self(image, path))
