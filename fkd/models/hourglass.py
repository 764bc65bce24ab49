"""The small hourglass that `compact`, `heatmap` and `simcc` share."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from fkd.errors import UserError
from fkd.io.ranges import Channels, Keypoints, Size, Width, Within

Widths = Annotated[Sequence[int], Within(1, 2**16)]
Blocks = Annotated[Sequence[int], Within(0, 100)]


class Hourglass(nn.Module):
    """Features at strides 4, 8 and 16, merged to stride 4 as in a U-Net (Ronneberger et al., MICCAI 2015), then one map
    per point.

    All convolutions are plain 3x3 ones: CPUs run these fast in bfloat16 with channels last, unlike depthwise ones.

    Args:
        channels: of the images, (B, channels, size, size) in [0, 1].
        size: their width and height in pixels, a multiple of 16.
        keypoints: K; `features` gives (B, K, size / 4, size / 4).
        stem: channels at stride 2.
        widths: channels at strides 4, 8 and 16.
        blocks: residual blocks at strides 4, 8 and 16; those at stride 16 with squeeze and excitation.

    Raises:
        UserError: the size is not a multiple of 16.
    """

    def __init__(
        self,
        channels: Channels,
        size: Size,
        keypoints: Keypoints,
        stem: Width,
        widths: Widths,
        blocks: Blocks,
    ) -> None:
        super().__init__()
        name = type(self).__name__.lower()
        if size < 16 or size % 16:
            nearest = max(16, round(size / 16) * 16)
            raise UserError(f"model={name} needs crop.size in multiples of 16, found {size}; use crop.size={nearest}")
        if len(widths) != 3 or len(blocks) != 3:
            raise UserError(f"model={name} needs three widths and three blocks, found {[*widths]} and {[*blocks]}")
        fine, middle, coarse = widths
        self.stem = conv(channels, stem, stride=2)
        self.fine = nn.Sequential(conv(stem, fine, stride=2), *(Residual(fine) for _ in range(blocks[0])))
        self.middle = nn.Sequential(conv(fine, middle, stride=2), *(Residual(middle) for _ in range(blocks[1])))
        self.coarse = nn.Sequential(
            conv(middle, coarse, stride=2),
            *(Residual(coarse, SqueezeExcitation(coarse)) for _ in range(blocks[2])),
        )
        self.coarse_to_middle = nn.Conv2d(coarse, middle, 1, bias=False)
        self.merge_middle = conv(middle, middle)
        self.middle_to_fine = nn.Conv2d(middle, fine, 1, bias=False)
        self.merge_fine = conv(fine, fine)
        self.maps = nn.Conv2d(fine, keypoints, 1, bias=False)

    def features(self, image: Tensor) -> Tensor:
        fine = self.fine(self.stem(image))  # (B, widths[0], size / 4, size / 4)
        middle = self.middle(fine)  # (B, widths[1], size / 8, size / 8)
        coarse = self.coarse(middle)  # (B, widths[2], size / 16, size / 16)
        middle = self.merge_middle(middle + double(self.coarse_to_middle(coarse)))
        fine = self.merge_fine(fine + double(self.middle_to_fine(middle)))
        maps: Tensor = self.maps(fine)
        return maps


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., CVPR 2016, fig. 2); `weigh` comes before the addition."""

    def __init__(self, width: int, weigh: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.weigh = weigh or nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.weigh(self.body(features)))


class SqueezeExcitation(nn.Module):
    """Weights of the channels from their means over the image (Hu et al., CVPR 2018, section 3; reduction 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        weights: Tensor = self.gate(features.mean(dim=(2, 3)))
        return features * weights.reshape(*weights.shape, 1, 1)


def conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, BatchNorm, ReLU; the size is divided by the stride."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def double(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="nearest")
