"""What several networks share: the size of their features, and NaimishNet's initialisation."""

import copy

import torch
from torch import nn

from fkd.errors import UserError


def flat_features(model: str, features: nn.Module, channels: int, size: int) -> int:
    """How many numbers the convolutions leave of one picture, for the first dense layer.

    Args:
        model: what config files call the network, for the error.
        features: (B, channels, size, size) -> (B, C', H', W').
        channels: of the picture.
        size: width and height of the picture in pixels.

    Raises:
        UserError: the picture is too small for the convolutions.
    """
    meta = copy.deepcopy(features).to("meta").eval()  # shapes only: no picture is computed

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


def keras_init(layer: nn.Module) -> None:
    """Initialise one layer as NaimishNet does, for `nn.Module.apply`.

    Convolutions: U(-0.05, 0.05), what Keras 1 calls `uniform`; dense layers: Glorot uniform; biases: 0
    (Agarwal et al., arXiv:1710.00977, section III: layers).
    """
    if isinstance(layer, nn.Conv2d):
        nn.init.uniform_(layer.weight, -0.05, 0.05)
    elif isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
