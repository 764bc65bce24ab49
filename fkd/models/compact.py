"""A small hourglass that reads coordinates off its maps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fkd.errors import UserError


class Compact(nn.Module):
    """Features at stride 4, 8 and 16, merged back to stride 4 as in a U-Net (Ronneberger et al., MICCAI 2015), then one
    map per point and its soft-argmax.

    Plain 3x3 convolutions throughout: they are what processors run fastest in bfloat16 with channels last, which
    depthwise ones are not. Under autocast the coordinates stay float32.

    Args:
        channels: of the pictures, (B, channels, size, size) in [0, 1].
        size: their width and height in pixels, a multiple of 16.
        keypoints: K; the output is (B, 2K), x0, y0, x1, y1, ...
        center, unit: of the output, in pixels of the picture: (k - center) / unit, as the codec says.
        stem: channels at stride 2.
        widths: channels at strides 4, 8 and 16.
        blocks: residual blocks at strides 4, 8 and 16; those at stride 16 weigh their channels.

    Raises:
        UserError: the size is not a multiple of 16.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        keypoints: int,
        stem: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        center: float,
        unit: float,
    ) -> None:
        super().__init__()
        if size < 16 or size % 16:
            nearest = max(16, round(size / 16) * 16)
            raise UserError(f"model=compact needs crop.size in multiples of 16, found {size}; use crop.size={nearest}")
        if len(widths) != 3 or len(blocks) != 3:
            raise UserError(f"model=compact needs three widths and three blocks, found {[*widths]} and {[*blocks]}")
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
        self.maps = nn.Conv2d(fine, keypoints, 1, bias=False)  # a softmax does not feel a bias
        cells = 4 * torch.arange(size // 4) + 1.5  # their centres in pixels of the picture
        self.coordinates = SoftArgmax((cells - center) / unit, keypoints)

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine(self.stem(image))  # (B, widths[0], size / 4, size / 4)
        middle = self.middle(fine)  # (B, widths[1], size / 8, size / 8)
        coarse = self.coarse(middle)  # (B, widths[2], size / 16, size / 16)
        middle = self.merge_middle(middle + double(self.coarse_to_middle(coarse)))
        fine = self.merge_fine(fine + double(self.middle_to_fine(middle)))
        coordinates: Tensor = self.coordinates(self.maps(fine))
        return coordinates


class SoftArgmax(nn.Module):
    """Where the mass of each map lies: (B, K, cells, cells) -> (B, 2K) in float32, in the unit of the grid.

    The expectation over a softmax ("integral regression", Sun et al., "Integral Human Pose Regression", ECCV 2018,
    section 2) never leaves the grid, but points of a face do leave its crop. So a linear layer, zero at first, adds
    to every coordinate what all of them together say about it: a jaw's visible half tells where the other one goes.
    """

    places: Tensor

    def __init__(self, grid: Tensor, keypoints: int) -> None:
        super().__init__()
        places = torch.cartesian_prod(grid, grid).flip(1)  # (cells * cells, 2): x and y of every cell
        self.register_buffer("places", places, persistent=False)
        self.correction = nn.Linear(2 * keypoints, 2 * keypoints)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, maps: Tensor) -> Tensor:
        with torch.autocast(maps.device.type, enabled=False):  # bfloat16 steps by a fifth of a pixel at 96 px
            points = (maps.float().flatten(2).softmax(dim=2) @ self.places).flatten(1)
            corrected: Tensor = points + self.correction(points)
        return corrected


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
    """Weighs channels by what the whole picture shows (Hu et al., CVPR 2018, section 3; reduction 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        weights: Tensor = self.gate(features.mean(dim=(2, 3)))
        return features * weights[:, :, None, None]


def conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, BatchNorm, ReLU; the size is divided by the stride."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def double(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="nearest")
