"""torchvision's networks, pretrained on ImageNet, with a head for keypoints."""

from collections import OrderedDict
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import get_model, get_model_weights, list_models

from fkd.errors import UserError
from fkd.io.ranges import Channels, Keypoints, Size, Width

_FAMILIES = ("resnet*", "resnext*", "wide_resnet*", "mobilenet_v3*", "efficientnet*", "vgg*", "convnext*", "regnet*")
"""Families whose layers up to `avgpool` are a sequence; others have branches, or steps outside of layers."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect images


class Backbone(nn.Module):
    """The convolutions of a torchvision classifier, whose last features are reduced, flattened and go to a dense layer.

    They are not averaged as for classes, which would lose the places of features.

    Args:
        channels: of the images, (B, channels, size, size) in [0, 1]: 1 (grey) or 3 (RGB).
        size: their width and height in pixels.
        keypoints: K; the output is (B, 2K), x0, y0, x1, y1, ... in the codec's unit.
        name: torchvision's name of the classifier, e.g. "resnet18": a ResNet, ResNeXt, MobileNetV3, EfficientNet, VGG,
            ConvNeXt or RegNet.
        reduced: channels that the last features are reduced to.

    Raises:
        UserError: torchvision has no such classifier of these families, or images are too small for it or neither
            grey nor RGB.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: Channels, size: Size, keypoints: Keypoints, name: str, reduced: Width) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise UserError(f"model={name}: expected channels=1 (grey) or 3 (RGB), found {channels}")
        if name not in list_models(models, include=_FAMILIES):
            raise UserError(
                f"model.net.name={name}: expected a classifier of torchvision.models of a family that can be used "
                f"({', '.join(_FAMILIES)}), found another name"
            )
        layers = OrderedDict(get_model(name, weights=None).named_children())
        names = list(layers)
        self.body = nn.Sequential(OrderedDict((key, layers[key]) for key in names[: names.index("avgpool")]))
        self.name, self.channels = name, channels
        if channels == 1:
            _take_grey(self.body)
        for layer in self.body.modules():  # MobileNetV3's momentum is for longer trainings
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 0.1
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (_MEAN, _STD))
        self.register_buffer("mean", mean if channels == 3 else mean.mean(dim=1, keepdim=True), persistent=False)
        self.register_buffer("std", std if channels == 3 else std.mean(dim=1, keepdim=True), persistent=False)
        width, cells = self._features(size)
        self.head = nn.Sequential(
            nn.Conv2d(width, reduced, 1, bias=False),
            nn.BatchNorm2d(reduced),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(reduced * cells, 2 * keypoints),
        )

    def forward(self, image: Tensor) -> Tensor:
        keypoints: Tensor = self.head(self.body((image - self.mean) / self.std))
        return keypoints

    def load_pretrained(self) -> None:
        """Load the classifier's ImageNet weights; for grey images, as for three equal channels.

        Raises:
            UserError: the weights are not on this machine and cannot be downloaded.
        """
        weights = get_model_weights(self.name).DEFAULT
        try:
            learned = weights.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            folder = f"{torch.hub.get_dir()}/checkpoints"
            raise UserError(
                f"model.pretrained=true: expected to download {weights.url}, but it failed ({error}); put the file "
                f"into {folder}, or set model.pretrained=false"
            ) from error
        own = self.body.state_dict()
        kept = {key: value for key, value in learned.items() if key in own}
        if self.channels == 1:
            first = _first_convolution(self.body)[0] + ".weight"
            kept[first] = kept[first].sum(dim=1, keepdim=True)
        self.body.load_state_dict(kept)

    @torch.no_grad()
    def _features(self, size: int) -> tuple[int, int]:
        """Channels and cells of the last features."""
        self.body.eval()
        try:
            features = self.body(torch.zeros(1, self.channels, size, size))
        except RuntimeError as error:
            raise UserError(f"model={self.name}: crop.size={size} is too small for it; choose a larger one") from error
        self.body.train()
        return features.shape[1], features.shape[2] * features.shape[3]


def _take_grey(body: nn.Module) -> None:
    """Replace the first convolution by one with a single input channel."""
    name, old = _first_convolution(body)
    settings: Any = {key: getattr(old, key) for key in ("out_channels", "kernel_size", "stride", "padding")}
    new = nn.Conv2d(in_channels=1, bias=old.bias is not None, **settings)
    parent, _, leaf = name.rpartition(".")
    setattr(body.get_submodule(parent), leaf, new)


def _first_convolution(body: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((name, layer) for name, layer in body.named_modules() if isinstance(layer, nn.Conv2d))
