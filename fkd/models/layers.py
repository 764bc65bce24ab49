"""What several networks share: fast dropout and ELU, the size of their features, initial weights.

Networks pool before they activate, where papers activate first: the activations rise with their input, so the largest
of four stays the largest, outputs and gradients are the same, and the activation has a quarter of the work.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from fkd.errors import UserError


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al., JMLR 2014) as torch's, but several times as fast on processors
    (measured on an AMD EPYC).

    Torch draws a number of 32 bits for each feature, one after the other; here four features share one of 64 bits. So
    `p` is a multiple of 2^-16, and what is kept is scaled by that.
    """

    def forward(self, features: Tensor) -> Tensor:
        least = round(self.p * 2**16) - 2**15
        if not self.training or features.device.type != "cpu" or abs(least) == 2**15:  # none or all of them
            return super().forward(features)
        words = torch.empty(-(-features.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = (words.view(torch.int16)[: features.numel()] >= least).to(features.dtype)
        scale = 2**16 / (2**15 - least)
        return features * kept.mul_(scale).as_strided(features.shape, torch.empty_like(features).stride())


class ELU(nn.ELU):
    """x where x > 0, else exp(x) - 1 (Clevert et al., ICLR 2016).

    As torch's, but several times as fast in bfloat16 on processors, where torch's `expm1` is slow: exp(x) - 1 is taken
    in float32, which errs by 2^-23 at most, less than bfloat16 can tell from 1.
    """

    def forward(self, features: Tensor) -> Tensor:
        return _elu(features, self.alpha, 1.0) if _is_slow(features) else super().forward(features)


class SELU(nn.SELU):
    """An ELU scaled such that features keep mean 0 and variance 1 (Klambauer et al., NeurIPS 2017); as fast as it."""

    def forward(self, features: Tensor) -> Tensor:
        return _elu(features, _SELU_ALPHA, _SELU_SCALE) if _is_slow(features) else super().forward(features)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _is_slow(features: Tensor) -> bool:
    return features.device.type == "cpu" and features.dtype == torch.bfloat16


def _elu(features: Tensor, alpha: float, scale: float) -> Tensor:
    """(any shape) bfloat16 -> the same: scale * (x where x > 0, else alpha * (exp(x) - 1))."""
    return cast(Tensor, _FastELU.apply(features, alpha, scale))


class _FastELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, alpha: float, scale: float) -> Tensor:
        below = features.float().clamp_(max=0).exp_().sub_(1).mul_(alpha * scale).to(features.dtype)
        result = features.clamp(min=0).mul_(scale).add_(below)
        ctx.save_for_backward(result)
        ctx.factors = alpha, scale
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.elu_backward(grad, *ctx.factors, 1.0, True, result), None, None


def flat_features(model: str, features: nn.Module, channels: int, size: int) -> int:
    """How many numbers the convolutions leave of one image, for the first dense layer.

    Args:
        model: what config files call the network, for the error.
        features: (B, channels, size, size) -> (B, C', H', W').
        channels: of the image.
        size: width and height of the image in pixels.

    Raises:
        UserError: the image is too small for the convolutions.
    """
    meta = copy.deepcopy(features).to("meta").eval()  # shapes only: no image is computed

    def count(size: int) -> int:
        try:
            return int(meta(torch.empty(1, channels, size, size, device="meta")).numel())
        except RuntimeError:  # how torch says that a kernel is wider than its input, or that nothing is left of it
            return 0

    if found := count(size):
        return found
    least = next((larger for larger in range(size + 1, 1025) if count(larger)), None)
    if least is None:
        raise UserError(
            f"model={model}: no crop.size from {size} to 1024 suits its convolutions and {channels} channels"
        )
    raise UserError(f"model={model} needs crop.size of at least {least}, found {size}; choose a larger crop.size")


def initialise(net: nn.Module, init: str) -> None:
    """Gives convolutions and dense layers their initial weights.

    - "torch": leaves what torch gives them, U(-1/sqrt(n), 1/sqrt(n)) for n inputs, biases too. Behind a few layers
      little of the input is left (a third of the variance behind each, half of that with ReLU).
    - "he": N(0, 2/n), biases 0, keeps the variance with ReLU (He et al., arXiv:1502.01852, section 2.2).
    - "lecun": N(0, 1/n), biases 0, as SELU needs it (Klambauer et al., NeurIPS 2017, section 3).
    - "keras": as NaimishNet begins: U(-0.05, 0.05) for convolutions, what Keras 1 calls `uniform`, Glorot uniform for
      dense layers, biases 0 (Agarwal et al., arXiv:1710.00977, section III: layers).

    Raises:
        UserError: it is none of these.
    """
    if init not in _INIT:
        raise UserError(f"model.net.init={init}: expected one of {', '.join(_INIT)}")
    net.apply(_INIT[init])


def _he(layer: nn.Module) -> None:
    _normal(layer, 2.0)


def _lecun(layer: nn.Module) -> None:
    _normal(layer, 1.0)


def _normal(layer: nn.Module, gain: float) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.normal_(layer.weight, std=(gain / layer.weight[0].numel()) ** 0.5)
        _no_bias(layer)


def _keras(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.uniform_(layer.weight, -0.05, 0.05)
    elif isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
    if isinstance(layer, nn.Conv2d | nn.Linear):
        _no_bias(layer)


def _no_bias(layer: nn.Conv2d | nn.Linear) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


_INIT: Mapping[str, Callable[[nn.Module], None]] = {
    "torch": lambda layer: None,
    "he": _he,
    "lecun": _lecun,
    "keras": _keras,
}
