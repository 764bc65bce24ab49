"""Losses on coordinates: pure functions first, thin modules over them.

Every loss takes raw (B, K, 2) and target (B, K, 2) in the codec's unit and visible (B, K) bool, and gives the mean over
the coordinates of the visible points: 0 with a gradient of 0 if there are none. ValueError if shapes differ.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fkd.errors import UserError


def mse(raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Mean squared error."""
    return _mean(_errors(raw, target, visible).square(), visible)


def l1(raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Mean absolute error."""
    return _mean(_errors(raw, target, visible).abs(), visible)


def smooth_l1(raw: Tensor, target: Tensor, visible: Tensor, beta: float) -> Tensor:
    """x^2 / (2 beta) for |x| < beta, |x| - beta / 2 beyond (Girshick, "Fast R-CNN", ICCV 2015, eq. 3: beta = 1)."""
    errors = _errors(raw, target, visible)
    return _mean(functional.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none", beta=beta), visible)


def wing(raw: Tensor, target: Tensor, visible: Tensor, width: float, curvature: float) -> Tensor:
    """Logarithmic for small errors, linear for large ones (Feng et al., "Wing Loss", CVPR 2018, eq. 5).

    width ln(1 + |x| / curvature) for |x| < width, |x| - C beyond, where C joins the two. Width and curvature (the
    paper's w and epsilon) are in codec units: the paper's pixels over the codec's unit; the loss shrinks alike.
    """
    errors = _errors(raw, target, visible).abs()
    offset = width - width * math.log1p(width / curvature)
    losses = torch.where(errors < width, width * torch.log1p(errors / curvature), errors - offset)
    return _mean(losses, visible)


class MSE(nn.Module):
    """`mse` as a module."""

    compares: ClassVar[str] = "coordinates"

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return mse(raw, target, visible)


class L1(nn.Module):
    """`l1` as a module."""

    compares: ClassVar[str] = "coordinates"

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return l1(raw, target, visible)


class SmoothL1(nn.Module):
    """`smooth_l1` as a module; beta in codec units.

    Raises:
        UserError: beta is not positive.
    """

    compares: ClassVar[str] = "coordinates"

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = _positive("smoothl1", "beta", beta)

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return smooth_l1(raw, target, visible, self.beta)


class Wing(nn.Module):
    """`wing` as a module; width and curvature in codec units.

    Raises:
        UserError: width or curvature is not positive.
    """

    compares: ClassVar[str] = "coordinates"

    def __init__(self, width: float, curvature: float) -> None:
        super().__init__()
        self.width = _positive("wing", "width", width)
        self.curvature = _positive("wing", "curvature", curvature)

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return wing(raw, target, visible, self.width, self.curvature)


def _errors(raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """raw - target (B, K, 2), 0 at invisible points, whatever stands in the target there (NaN too)."""
    if raw.ndim != 3 or raw.shape[-1] != 2:
        raise ValueError(f"raw: expected shape (B, K, 2), found {tuple(raw.shape)}")
    if target.shape != raw.shape:
        raise ValueError(f"target: expected the shape of raw, {tuple(raw.shape)}, found {tuple(target.shape)}")
    if visible.shape != raw.shape[:2] or visible.dtype != torch.bool:
        raise ValueError(
            f"visible: expected bool of shape {tuple(raw.shape[:2])}, found {visible.dtype} {tuple(visible.shape)}"
        )
    return (raw - target).masked_fill(~visible[..., None], 0)


def _mean(losses: Tensor, visible: Tensor) -> Tensor:
    """Mean over the coordinates of visible points; every loss of an error of 0 is 0, so that sums need no mask."""
    return losses.sum() / (2 * visible.sum()).clamp(min=1)


def _positive(loss: str, key: str, value: float) -> float:
    if not (isinstance(value, int | float) and value > 0):
        raise UserError(f"loss={loss}: expected loss.{key} above 0, found {value}; the unit is the codec's")
    return value
