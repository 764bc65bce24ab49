"""Codecs: from keypoints in crop pixels to a training target, and from a net's raw output to keypoints.

Losses compare raw output with encoded target. Metrics, drawing and prediction only use decoded keypoints, and so work
with every model.
"""

import math
from functools import reduce
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from fkd.errors import UserError
from fkd.io.ranges import Size, Unit, Within

_PIXELS = Within(-1e5, 1e5)


class Codec(Protocol):
    """Encodes keypoints in crop pixels as a training target and decodes a net's raw output."""

    gives: str
    """The kind of raw output, matched with what a loss compares: "coordinates", "heatmaps" or "bins"."""

    def encode(self, keypoints: Tensor) -> Tensor:
        """(B, K, 2) crop pixels -> training target, in the shape of `raw`."""
        ...

    def decode(self, raw: Tensor) -> Tensor:
        """Raw output of the net -> (B, K, 2) float32 crop pixels."""
        ...


@runtime_checkable
class GivesSpread(Protocol):
    """A codec whose raw output also shows how certain each point is."""

    def spread(self, raw: Tensor) -> Tensor:
        """Raw output of the net -> (B, K) crop pixels, see `spread_of`."""
        ...


class Coordinates:
    """The net gives coordinates, (B, 2K) or (B, K, 2), as (k - center) / unit.

    Args:
        center: crop pixel that becomes 0, e.g. 100 in the notebooks of the Udacity set.
        unit: crop pixels that become 1, e.g. 50 there; half the crop's size gives [-1, 1].
    """

    gives = "coordinates"

    def __init__(self, center: Annotated[float, _PIXELS], unit: Unit) -> None:
        if not unit > 0:
            raise ValueError(f"Coordinates: expected a unit above 0 pixels, found {unit}")
        self.center, self.unit = center, unit

    def encode(self, keypoints: Tensor) -> Tensor:
        return (keypoints - self.center) / self.unit

    def decode(self, raw: Tensor) -> Tensor:
        return raw.float().reshape(raw.shape[0], -1, 2) * self.unit + self.center


class Heatmaps:
    """The net gives one heatmap for each point, (B, K, cells, cells), with its maximum at the point.

    The target is a Gaussian of height 1 about the point, which need not be a cell's centre (Zhang et al.,
    "Distribution-Aware Coordinate Representation for Human Pose Estimation" (DARK), CVPR 2020, "Coordinate Encoding").
    For a point outside of the crop it is about the nearest place on the crop's edge.

    Args:
        size: width and height of the crop in pixels, a multiple of the stride.
        stride: pixels of the crop to a cell.
        sigma: standard deviation of the Gaussian in cells.
        decode: from a heatmap to a point.
            "dark": from the highest cell of the smoothed map one Newton step on its logarithm (DARK, "Coordinate
            Decoding", eq. 8), which finds the mean of a Gaussian exactly.
            "soft_argmax": centre of mass of the values above a tenth of the maximum.

    Raises:
        UserError: an argument is out of its range.
    """

    gives = "heatmaps"

    def __init__(self, size: Size, stride: Size, sigma: Annotated[float, Within(0, 100)], decode: str) -> None:
        if not (isinstance(stride, int) and stride > 0 and size % stride == 0 and size >= 3 * stride):
            raise UserError(
                f"model.codec.stride={stride}: expected a divisor of crop.size={size}, at most a third of it"
            )
        if not (isinstance(sigma, int | float) and sigma > 0):
            raise UserError(f"model.codec.sigma={sigma}: expected cells above 0")
        if decode not in ("dark", "soft_argmax"):
            raise UserError(f"model.codec.decode={decode}: expected dark or soft_argmax")
        self.cells, self.stride, self.sigma = size // stride, stride, sigma
        self._read = self._dark if decode == "dark" else self._mass

    def encode(self, keypoints: Tensor) -> Tensor:
        places = (keypoints - (self.stride - 1) / 2) / self.stride
        edges = -0.5, self.cells - 0.5  # a point farther out would give a partial Gaussian, or none
        distances = places.clamp(*edges)[..., None] - _count(self.cells, places)
        x, y = torch.exp(-(distances**2) / (2 * self.sigma**2)).unbind(dim=2)
        return y[..., :, None] * x[..., None, :]

    def decode(self, raw: Tensor) -> Tensor:
        return self._read(raw.float()) * self.stride + (self.stride - 1) / 2

    def spread(self, raw: Tensor) -> Tensor:
        maps = raw.float().clamp(min=1e-9)  # an exporter leaves out the addition of so little
        mass = maps.sum(dim=(2, 3))[..., None]
        return spread_of(maps.sum(dim=2) / mass, maps.sum(dim=3) / mass) * self.stride

    def _dark(self, maps: Tensor) -> Tensor:
        """(B, K, cells, cells) -> (B, K, 2), x and y in cells."""
        logs = _blurred(maps, self.sigma).clamp(min=1e-6).log()
        place = logs.flatten(2).argmax(dim=2)
        # the highest inner cell: second differences need both neighbours
        x, y = (place % self.cells).clamp(1, self.cells - 2), (place // self.cells).clamp(1, self.cells - 2)

        def at(right: int, down: int) -> Tensor:
            index = (y + down) * self.cells + x + right
            return logs.flatten(2).gather(2, index[..., None])[..., 0]

        middle = at(0, 0)
        dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
        dxx, dyy = at(1, 0) - 2 * middle + at(-1, 0), at(0, 1) - 2 * middle + at(0, -1)
        dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
        det = dxx * dyy - dxy * dxy
        peak = (det > 1e-9) & (dxx < 0)  # elsewhere the surface has no maximum nearby, so there is no step
        det = torch.where(peak, det, 1)
        step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1) / det[..., None]
        step = torch.where(peak[..., None], step, 0).clamp(-1.5, 1.5)
        return torch.stack([x, y], dim=-1) + step

    def _mass(self, maps: Tensor) -> Tensor:
        peaks = maps.amax(dim=(2, 3), keepdim=True)
        above = (maps - 0.1 * peaks).clamp(min=0) + 1e-9
        places = torch.arange(self.cells, dtype=maps.dtype, device=maps.device)
        mass = above.sum(dim=(2, 3))
        x, y = (above.sum(dim=2) * places).sum(dim=2) / mass, (above.sum(dim=3) * places).sum(dim=2) / mass
        return torch.stack([x, y], dim=-1)


class SimCC:
    """The net classifies each point's column and row: (B, K, 2, bins) logits for x and y.

    Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation", ECCV 2022, section
    3.1. A bin is a part of a pixel; the target is a Gaussian over the bins of sum 1 (their label smoothing).

    Args:
        size: width and height of the crop in pixels.
        split: bins to a pixel (the paper's k).
        sigma: standard deviation of the Gaussian in pixels of the crop.
        decode: "soft_argmax": mean of the softmax; "argmax": its highest bin, as in the paper.

    Raises:
        UserError: an argument is out of its range.
    """

    gives = "bins"

    def __init__(
        self, size: Size, split: Annotated[float, Within(0, 100)], sigma: Annotated[float, _PIXELS], decode: str
    ) -> None:
        bins = size * split
        if not (isinstance(split, int | float) and split > 0 and bins == int(bins)):
            raise UserError(f"model.codec.split={split}: expected bins to a pixel, a whole number of them on {size} px")
        if not (isinstance(sigma, int | float) and sigma > 0):
            raise UserError(f"model.codec.sigma={sigma}: expected pixels above 0")
        if decode not in ("soft_argmax", "argmax"):
            raise UserError(f"model.codec.decode={decode}: expected soft_argmax or argmax")
        self.bins, self.split, self.sigma, self.soft = int(bins), split, sigma, decode == "soft_argmax"

    def encode(self, keypoints: Tensor) -> Tensor:
        places = (keypoints + 0.5) * self.split - 0.5
        weights = -((places[..., None] - _count(self.bins, keypoints)) ** 2) / (2 * (self.sigma * self.split) ** 2)
        return weights.softmax(dim=-1)  # for a point outside, all of it is at the edge

    def decode(self, raw: Tensor) -> Tensor:
        logits = raw.float().reshape(raw.shape[0], -1, 2, self.bins)
        if self.soft:  # no matrix product: mixed precision would compute it in bfloat16
            places = (logits.softmax(dim=-1) * _count(self.bins, logits)).sum(dim=-1)
        else:
            places = logits.argmax(dim=-1).float()
        return (places + 0.5) / self.split - 0.5

    def spread(self, raw: Tensor) -> Tensor:
        weights = raw.float().reshape(raw.shape[0], -1, 2, self.bins).softmax(dim=-1)
        return spread_of(weights[:, :, 0], weights[:, :, 1]) / self.split


def spread_of(x: Tensor, y: Tensor) -> Tensor:
    """Standard deviation of each point's place: the root mean square distance from the mean.

    Args:
        x, y: (B, K, places) weights of the columns and of the rows, each of sum 1.

    Returns:
        (B, K) in places.
    """
    return (_variance(x) + _variance(y)).sqrt()


def _variance(weights: Tensor) -> Tensor:
    """(B, K, places) of sum 1 -> (B, K)."""
    places = _count(weights.shape[-1], weights)
    mean = (weights * places).sum(dim=-1)[..., None]
    return (weights * (places - mean) ** 2).sum(dim=-1)


def _count(number: int, like: Tensor) -> Tensor:
    return torch.arange(number, dtype=torch.float32, device=like.device)


def _blurred(maps: Tensor, sigma: float) -> Tensor:
    """Maps (B, K, H, W) smoothed by a Gaussian of the target's width (DARK, "Coordinate Decoding", eq. 9).

    With sums instead of convolutions, which mixed precision would compute in bfloat16.
    """
    reach = max(int(2 * sigma + 0.5), 1)
    weights = [math.exp(-((tap - reach) ** 2) / (2 * sigma**2)) for tap in range(2 * reach + 1)]
    for axis, pad in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        wide, size = functional.pad(maps, pad, mode="replicate"), maps.shape[axis]
        maps = reduce(torch.add, (wide.narrow(axis, tap, size) * weight for tap, weight in enumerate(weights)))
    return maps / sum(weights) ** 2
