"""Losses on coordinates, heatmaps and SimCC's two classifications: pure functions, then modules of them.

Every loss takes raw output and target of one shape: (B, K, 2) coordinates in the codec's unit, (B, K, H, W) heatmaps or
(B, K, 2, L) bins; and visible (B, K) bool. It returns the mean over all numbers of the visible points (`simcc_kl`: over
their two axes, `heatmap_kl`: over their heatmaps), or 0 with a gradient of 0 if no point is visible. It raises
ValueError if shapes differ.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

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
    paper's w and epsilon) are in codec units: the paper's pixels over the codec's unit, by which the loss shrinks, too.
    """
    errors = _errors(raw, target, visible).abs()
    offset = width - width * math.log1p(width / curvature)
    losses = torch.where(errors < width, width * torch.log1p(errors / curvature), errors - offset)
    return _mean(losses, visible)


def soft_wing(raw: Tensor, target: Tensor, visible: Tensor, linear: float, width: float, curvature: float) -> Tensor:
    """Linear for small errors, logarithmic beyond (Lin et al., "Structure-Coherent Deep Feature Learning for Robust
    Face Alignment", IEEE TIP 2021, eq. 5).

    |x| for |x| < linear, width ln(1 + |x| / curvature) + C beyond, where C joins the two: large errors, such as
    those of wrong labels, have smaller gradients. The three are the paper's omega1, omega2 and epsilon, in codec units.
    """
    errors = _errors(raw, target, visible).abs()
    offset = linear - width * math.log1p(linear / curvature)
    losses = torch.where(errors < linear, errors, width * torch.log1p(errors / curvature) + offset)
    return _mean(losses, visible)


def interval(raw: Tensor, target: Tensor, visible: Tensor, pitch: float, pair: tuple[int, int]) -> Tensor:
    """Absolute error beyond the cell of the labels' quantization grid.

    A label that was rounded to a grid only tells the cell of the coordinate; inside of the cell the loss is 0 (the
    insensitive tube of support vector regression, Vapnik, 1995). The sides of the cells are assumed to be upright,
    although augmentation turns the grid with the image.

    Args:
        raw, target, visible: as of every loss on coordinates.
        pitch: width of a cell, as a share of the distance between the target's points `pair`.
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
    """Kullback-Leibler divergence of the softmax of each map from its target, which is scaled to a sum of 1.

    Regularises maps whose mean is read as coordinates: Nibali et al., "Numerical Coordinate Regression with
    Convolutional Neural Networks" (DSNT), arXiv:1801.07372, "Distribution regularization", with the two arguments of
    the divergence exchanged.
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


class _Loss(nn.Module):
    """A loss function with its settings.

    Attributes:
        name: option of conf/loss, for errors.
        compares: the kind of raw output, matched with `fkd.codecs.Codec.gives`.
    """

    name: ClassVar[str]
    compares: ClassVar[str] = "coordinates"
    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, **settings: float) -> None:
        super().__init__()
        for key, value in settings.items():
            if not (isinstance(value, int | float) and value > 0):
                unit = "; the unit is the codec's"
                raise UserError(f"loss={self.name}: expected loss.{key} above 0, found {value}{unit}")
        self.settings: dict[str, Any] = settings

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        return type(self).function(raw, target, visible, **self.settings)


class MSE(_Loss):
    """`mse` as a module."""

    function = staticmethod(mse)


class L1(_Loss):
    """`l1` as a module."""

    function = staticmethod(l1)


class SmoothL1(_Loss):
    """`smooth_l1` as a module; beta in codec units. UserError if it is not positive."""

    name, function = "smoothl1", staticmethod(smooth_l1)

    def __init__(self, beta: float) -> None:
        super().__init__(beta=beta)


class Wing(_Loss):
    """`wing` as a module; width and curvature in codec units. UserError if one is not positive."""

    name, function = "wing", staticmethod(wing)

    def __init__(self, width: float, curvature: float) -> None:
        super().__init__(width=width, curvature=curvature)


class SoftWing(_Loss):
    """`soft_wing` as a module; all three in codec units. UserError if one is not positive."""

    name, function = "softwing", staticmethod(soft_wing)

    def __init__(self, linear: float, width: float, curvature: float) -> None:
        super().__init__(linear=linear, width=width, curvature=curvature)


class Interval(_Loss):
    """`interval` as a module. UserError if the pitch is not positive."""

    name, function = "interval", staticmethod(interval)

    def __init__(self, pitch: float, pair: Sequence[int]) -> None:
        super().__init__(pitch=pitch)
        self.settings["pair"] = (pair[0], pair[1])


class AdaptiveWing(_Loss):
    """`adaptive_wing` as a module.

    Raises:
        UserError: a number is out of its range; alpha must be above 2, or the slope at an error of 0 is not 0.
    """

    name, compares, function = "adaptive_wing", "heatmaps", staticmethod(adaptive_wing)

    def __init__(self, alpha: float, omega: float, epsilon: float, theta: float, weight: float) -> None:
        super().__init__(omega=omega, epsilon=epsilon, theta=theta)
        if not (isinstance(alpha, int | float) and alpha > 2):
            raise UserError(f"loss=adaptive_wing: expected loss.alpha above 2, found {alpha!r}")
        if not (isinstance(weight, int | float) and weight >= 0):
            raise UserError(f"loss=adaptive_wing: expected loss.weight from 0 on, found {weight!r}")
        self.settings |= {"alpha": alpha, "weight": weight}


class HeatmapMSE(_Loss):
    """`heatmap_mse` as a module."""

    compares, function = "heatmaps", staticmethod(heatmap_mse)


class SimCCKL(_Loss):
    """`simcc_kl` as a module."""

    compares, function = "bins", staticmethod(simcc_kl)


_SHAPES = {"coordinates": "(B, K, 2)", "heatmaps": "(B, K, H, W)", "bins": "(B, K, 2, L)"}
"""Kind of raw output -> shape of raw output and target; the 2 are the axes x and y."""


def _errors(raw: Tensor, target: Tensor, visible: Tensor, kind: str = "coordinates") -> Tensor:
    """raw - target; 0 at invisible points, whose target may be NaN."""
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
    """~visible in a shape that broadcasts to `like`."""
    return ~visible.reshape(*visible.shape, *[1] * (like.ndim - 2))


def _mean(losses: Tensor, visible: Tensor) -> Tensor:
    """Mean over the numbers of visible points; invisible ones have an error of 0 and so a loss of 0."""
    return losses.sum() / (math.prod(losses.shape[2:]) * visible.sum()).clamp(min=1)
