"""Losses on coordinates, on heatmaps and on SimCC's two classifications: pure functions first, thin modules over them.

Every loss takes raw and target of one shape, (B, K, 2) coordinates in the codec's unit, (B, K, H, W) maps or
(B, K, 2, L) bins, and visible (B, K) bool. It gives the mean over all numbers of the visible points (`simcc_kl`: over
their two axes, `heatmap_kl`: over their maps): 0 with a gradient of 0 if there are none. ValueError if shapes differ.
"""

import math
from collections.abc import Sequence
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


def soft_wing(raw: Tensor, target: Tensor, visible: Tensor, linear: float, width: float, curvature: float) -> Tensor:
    """Linear for small errors, logarithmic beyond (Lin et al., "Structure-Coherent Deep Feature Learning for Robust
    Face Alignment", IEEE TIP 2021, eq. 5).

    |x| for |x| < linear, width ln(1 + |x| / curvature) + C beyond, where C joins the two: what lies far off, be it a
    wrong label, pulls less. The three are the paper's omega1, omega2 and epsilon, in codec units.
    """
    errors = _errors(raw, target, visible).abs()
    offset = linear - width * math.log1p(linear / curvature)
    losses = torch.where(errors < linear, errors, width * torch.log1p(errors / curvature) + offset)
    return _mean(losses, visible)


def interval(raw: Tensor, target: Tensor, visible: Tensor, pitch: float, pair: tuple[int, int]) -> Tensor:
    """Absolute error beyond the cell of the labels' quantization grid: no point of the cell is truer than another.

    Labels that were rounded to a grid tell no more than the cell in which a coordinate lies; inside of it the loss
    is 0 (the insensitive tube of support vector regression, Vapnik, 1995). The cell's sides are taken to be upright:
    that augmentation turns the grid with the image is left out.

    Args:
        raw, target, visible: as of every loss on coordinates.
        pitch: width of a cell of it, a share of the distance between the target's points `pair`.
        pair: two points, e.g. the outer eye corners; where one is invisible, the cell's width is 0.
    """
    errors = _errors(raw, target, visible).abs()
    first, second = pair
    known = visible[:, first] & visible[:, second]
    half = pitch / 2 * (target[:, first] - target[:, second]).masked_fill(~known[:, None], 0).norm(dim=-1)
    return _mean((errors - half[:, None, None]).clamp(min=0), visible)


def adaptive_wing(
    raw: Tensor,
    target: Tensor,
    visible: Tensor,
    alpha: float,
    omega: float,
    epsilon: float,
    theta: float,
    weight: float,
) -> Tensor:
    """Adaptive wing loss of heatmaps (Wang et al., "Adaptive Wing Loss for Robust Face Alignment via Heatmap
    Regression", ICCV 2019, eq. 3, with the weight map of eq. 8).

    omega ln(1 + |x / epsilon|^(alpha - y)) for |x| < theta, A |x| - C beyond, where A and C join values and slopes:
    near a point (y about 1) like a wing loss, in the background (y about 0) like a squared error. Cells whose 3x3
    neighbourhood reaches 0.2 in the target count 1 + weight times.
    """
    errors = _errors(raw, target, visible, "heatmaps").abs()
    target = target.masked_fill(_hidden(visible, target), 0)
    powers, ratio = alpha - target, theta / epsilon
    slopes = omega / (1 + ratio**powers) * powers * ratio ** (powers - 1) / epsilon  # A
    offsets = theta * slopes - omega * torch.log1p(ratio**powers)  # C
    near = omega * torch.log1p((errors / epsilon) ** powers)
    losses = torch.where(errors < theta, near, slopes * errors - offsets)
    around = functional.max_pool2d(target, 3, stride=1, padding=1) >= 0.2
    return _mean(losses * (1 + weight * around), visible)


def heatmap_mse(raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Mean squared error of heatmaps (Tompson et al., "Joint Training of a Convolutional Network and a Graphical Model
    for Human Pose Estimation", NIPS 2014, section 3.1)."""
    return _mean(_errors(raw, target, visible, "heatmaps").square(), visible)


def heatmap_kl(raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax of each map from its target, which is made to sum to 1.

    The regularisation of maps whose mean is read as coordinates: Nibali et al., "Numerical Coordinate Regression with
    Convolutional Neural Networks" (DSNT), arXiv:1801.07372, "Distribution regularization", with the divergence taken
    from the target's side.
    """
    _check(raw, target, visible, "heatmaps")
    target = target.masked_fill(_hidden(visible, target), 0).flatten(2)
    target = target / target.sum(dim=2, keepdim=True).clamp(min=torch.finfo(target.dtype).tiny)
    losses = torch.xlogy(target, target) - target * raw.float().flatten(2).log_softmax(dim=2)
    return _mean(losses.sum(dim=2), visible)


def simcc_kl(raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax of raw from the target, summed over an axis's bins.

    Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation", ECCV 2022, section
    3.2; the codec's Gaussian targets are its label smoothing.
    """
    _check(raw, target, visible, "bins")
    target = target.masked_fill(_hidden(visible, target), 0)
    losses = torch.xlogy(target, target) - target * raw.log_softmax(dim=-1)
    return _mean(losses.sum(dim=-1), visible)


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


class SoftWing(nn.Module):
    """`soft_wing` as a module; all three in codec units.

    Raises:
        UserError: one of them is not positive.
    """

    compares: ClassVar[str] = "coordinates"

    def __init__(self, linear: float, width: float, curvature: float) -> None:
        super().__init__()
        self.linear = _positive("softwing", "linear", linear)
        self.width = _positive("softwing", "width", width)
        self.curvature = _positive("softwing", "curvature", curvature)

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return soft_wing(raw, target, visible, self.linear, self.width, self.curvature)


class Interval(nn.Module):
    """`interval` as a module.

    Raises:
        UserError: the pitch is not positive.
    """

    compares: ClassVar[str] = "coordinates"

    def __init__(self, pitch: float, pair: Sequence[int]) -> None:
        super().__init__()
        self.pitch = _positive("interval", "pitch", pitch)
        self.pair = (pair[0], pair[1])

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return interval(raw, target, visible, self.pitch, self.pair)


class AdaptiveWing(nn.Module):
    """`adaptive_wing` as a module.

    Raises:
        UserError: a number is out of its range; alpha must be above 2, or the loss has no slope of 0 at 0.
    """

    compares: ClassVar[str] = "heatmaps"

    def __init__(self, alpha: float, omega: float, epsilon: float, theta: float, weight: float) -> None:
        super().__init__()
        if not (isinstance(alpha, int | float) and alpha > 2):
            raise UserError(f"loss=adaptive_wing: expected loss.alpha above 2, found {alpha!r}")
        if not (isinstance(weight, int | float) and weight >= 0):
            raise UserError(f"loss=adaptive_wing: expected loss.weight from 0 on, found {weight!r}")
        self.alpha, self.weight = alpha, weight
        self.omega = _positive("adaptive_wing", "omega", omega)
        self.epsilon = _positive("adaptive_wing", "epsilon", epsilon)
        self.theta = _positive("adaptive_wing", "theta", theta)

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return adaptive_wing(raw, target, visible, self.alpha, self.omega, self.epsilon, self.theta, self.weight)


class HeatmapMSE(nn.Module):
    """`heatmap_mse` as a module."""

    compares: ClassVar[str] = "heatmaps"

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return heatmap_mse(raw, target, visible)


class SimCCKL(nn.Module):
    """`simcc_kl` as a module."""

    compares: ClassVar[str] = "bins"

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return simcc_kl(raw, target, visible)


_SHAPES = {"coordinates": "(B, K, 2)", "heatmaps": "(B, K, H, W)", "bins": "(B, K, 2, L)"}
"""What a codec gives -> the shape of raw output and target; the 2 is that of the axes, x and y."""


def _errors(raw: Tensor, target: Tensor, visible: Tensor, kind: str = "coordinates") -> Tensor:
    """raw - target, 0 at invisible points, whatever stands in the target there (NaN too)."""
    _check(raw, target, visible, kind)
    return (raw - target).masked_fill(_hidden(visible, raw), 0)


def _check(raw: Tensor, target: Tensor, visible: Tensor, kind: str) -> None:
    shape = _SHAPES[kind]
    if raw.ndim != shape.count(",") + 1 or (", 2" in shape and raw.shape[2] != 2):
        raise ValueError(f"raw: expected shape {shape}, found {tuple(raw.shape)}")
    if target.shape != raw.shape:
        raise ValueError(f"target: expected the shape of raw, {tuple(raw.shape)}, found {tuple(target.shape)}")
    if visible.shape != raw.shape[:2] or visible.dtype != torch.bool:
        raise ValueError(
            f"visible: expected bool of shape {tuple(raw.shape[:2])}, found {visible.dtype} {tuple(visible.shape)}"
        )


def _hidden(visible: Tensor, like: Tensor) -> Tensor:
    """Where points are invisible, in a shape that broadcasts to `like`."""
    return ~visible.reshape(*visible.shape, *[1] * (like.ndim - 2))


def _mean(losses: Tensor, visible: Tensor) -> Tensor:
    """Mean over the numbers of visible points; every loss of an error of 0 is 0, so that sums need no mask."""
    return losses.sum() / (math.prod(losses.shape[2:]) * visible.sum()).clamp(min=1)


def _positive(loss: str, key: str, value: float) -> float:
    if not (isinstance(value, int | float) and value > 0):
        raise UserError(f"loss={loss}: expected loss.{key} above 0, found {value}; the unit is the codec's")
    return value
