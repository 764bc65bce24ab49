"""Parts of several networks: fast dropout and ELU, and the plan of the five classic networks.

These networks pool before the activation, where papers activate first. Activations are monotonic, so outputs and
gradients are the same, and the activation has a quarter of the work.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from fkd.errors import UserError
from fkd.io.ranges import Channels, Keypoints, Share, Size


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al., JMLR 2014), several times as fast as torch's on CPUs (measured on an AMD EPYC).

    Torch draws a random number of 32 bits for each feature; here four features share one of 64 bits. So `p` is rounded
    to a multiple of 2^-16, and the kept features are scaled by the rounded value.
    """

    def forward(self, features: Tensor) -> Tensor:
        least = round(self.p * 2**16) - 2**15
        if not self.training or features.device.type != "cpu" or abs(least) == 2**15:  # drops none or all
            return super().forward(features)
        words = torch.empty(-(-features.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = (words.view(torch.int16)[: features.numel()] >= least).to(features.dtype)
        scale = 2**16 / (2**15 - least)
        return features * kept.mul_(scale).as_strided(features.shape, torch.empty_like(features).stride())


class ELU(nn.ELU):
    """x where x > 0, else exp(x) - 1 (Clevert et al., ICLR 2016).

    In bfloat16 on CPUs several times as fast as torch's, whose `expm1` is slow there: exp(x) - 1 is computed in float32
    with an error of at most 2^-23, which is below the resolution of bfloat16 at 1.
    """

    def forward(self, features: Tensor) -> Tensor:
        return _elu(features, self.alpha, 1.0) if _is_slow(features) else super().forward(features)


class SELU(nn.SELU):
    """An ELU scaled such that features keep mean 0 and variance 1 (Klambauer et al., NeurIPS 2017)."""

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


Layers = Iterator[nn.Module]


class ConvNet(nn.Sequential):
    """Convolutions, then dense layers: `batchnorm`, `conv5`, `naimish`, `naimish_bn` and `simple`.

    Args:
        channels: of the images, (B, channels, size, size) in [0, 1].
        size: their width and height in pixels.
        keypoints: K; the output is (B, 2K), x0, y0, x1, y1, ... in the codec's unit.
        dropout: factor on the published dropout rates, from 0 (none) to 1.
        init: initial weights of convolutions and dense layers.
            "torch": torch's own, U(-1/sqrt(n), 1/sqrt(n)) for n inputs, biases too. Each layer keeps a third of the
            variance of its input, with ReLU a sixth.
            "he": N(0, 2/n), biases 0, keeps the variance with ReLU (He et al., arXiv:1502.01852, section 2.2).
            "lecun": N(0, 1/n), biases 0, as SELU needs it (Klambauer et al., NeurIPS 2017, section 3).
            "keras": NaimishNet's: U(-0.05, 0.05) for convolutions, which is `uniform` in Keras 1, Glorot uniform for
            dense layers, biases 0 (Agarwal et al., arXiv:1710.00977, section III: layers).

    Raises:
        UserError: the size is too small for the convolutions, or there is no such `init`.
    """

    name: ClassVar[str]
    """The option of conf/model, for errors."""

    def __init__(self, channels: Channels, size: Size, keypoints: Keypoints, dropout: Share, init: str) -> None:
        features = nn.Sequential(*self.convolutions(channels, dropout))
        count = _flat_features(self.name, features, channels, size)
        head = nn.Sequential(nn.Flatten(), *self.dense(count, 2 * keypoints, dropout))
        super().__init__(OrderedDict(features=features, head=head))
        if init not in _INIT:
            raise UserError(f"model.net.init={init}: expected one of {', '.join(_INIT)}")
        self.apply(partial(_initialise, init=init))

    def convolutions(self, channels: int, dropout: float) -> Layers:
        """(B, channels, size, size) -> (B, C', H', W')."""
        raise NotImplementedError

    def dense(self, features: int, outputs: int, dropout: float) -> Layers:
        """(B, features) -> (B, outputs)."""
        raise NotImplementedError


def _flat_features(model: str, features: nn.Module, channels: int, size: int) -> int:
    """The number of features, C' * H' * W', that the convolutions give for one image.

    Raises:
        UserError: the image is too small for the convolutions.
    """
    meta = copy.deepcopy(features).to("meta").eval()  # computes shapes only

    def count(size: int) -> int:
        try:
            return int(meta(torch.empty(1, channels, size, size, device="meta")).numel())
        except RuntimeError:  # a kernel is wider than its input, or the output is empty
            return 0

    if found := count(size):
        return found
    least = next((larger for larger in range(size + 1, 1025) if count(larger)), None)
    if least is None:
        raise UserError(f"model={model}: no crop.size up to 1024 fits its convolutions and {channels} channels")
    raise UserError(f"model={model} needs crop.size of at least {least}, found {size}; choose a larger crop.size")


_GAINS = {"he": 2.0, "lecun": 1.0}
_INIT = ("torch", *_GAINS, "keras")


def _initialise(layer: nn.Module, init: str) -> None:
    if init == "torch" or not isinstance(layer, nn.Conv2d | nn.Linear):
        return
    if init in _GAINS:
        nn.init.normal_(layer.weight, std=(_GAINS[init] / layer.weight[0].numel()) ** 0.5)
    elif isinstance(layer, nn.Conv2d):
        nn.init.uniform_(layer.weight, -0.05, 0.05)
    else:
        nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
