"""How keypoints in crop pixels become a training target, and how a net's raw output becomes keypoints again.

Losses compare raw output with encoded target. Metrics, drawing and prediction see decoded keypoints only, and so work
with every model.
"""

from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """Both ways between keypoints in crop pixels and what a net is trained on."""

    gives: str
    """The kind of raw output, matched with what a loss compares: "coordinates", ..."""

    def encode(self, keypoints: Tensor) -> Tensor:
        """(B, K, 2) crop pixels -> training target, in the shape of `raw`."""
        ...

    def decode(self, raw: Tensor) -> Tensor:
        """Raw output of the net -> (B, K, 2) float32 crop pixels."""
        ...


class Coordinates:
    """The net gives the coordinates themselves, (B, 2K) or (B, K, 2), as (k - center) / unit.

    Args:
        center: crop pixel that becomes 0, e.g. 100 in the notebooks of the Udacity set.
        unit: crop pixels that become 1, e.g. 50 there; half the crop's size gives [-1, 1].
    """

    gives = "coordinates"

    def __init__(self, center: float, unit: float) -> None:
        if not unit > 0:
            raise ValueError(f"Coordinates: expected a unit above 0 pixels, found {unit}")
        self.center, self.unit = center, unit

    def encode(self, keypoints: Tensor) -> Tensor:
        return (keypoints - self.center) / self.unit

    def decode(self, raw: Tensor) -> Tensor:
        return raw.float().reshape(raw.shape[0], -1, 2) * self.unit + self.center
