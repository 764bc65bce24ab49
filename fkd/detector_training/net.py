"""A small fully convolutional net that finds faces of any size."""

from collections.abc import Sequence

from torch import Tensor, nn


class MapNet(nn.Module):
    """A map of face centres, with the size and the roll of each face.

    Zhou, Wang and Kraehenbuehl, "Objects as Points", arXiv:1904.07850, 2019, section 4: a peak of the map is a face.
    Features of stride 8, 16 and 32 are added from coarse to fine (Lin et al., "Feature Pyramid Networks", CVPR 2017,
    section 3), so that one map finds faces of 10 pixels and of 300.

    Args:
        widths: channels of the features at stride 2, 4, 8, 16 and 32.
        depths: number of residual blocks at stride 8, 16 and 32.
        head: channels of the features that the map is made of.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], head: int) -> None:
        super().__init__()
        first, second, *rest = widths
        self.stem = nn.Sequential(_convolution(1, first, 3, 2), _convolution(first, second, 3, 2))
        inputs = [second, *rest[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(_reduction(before, after), *(_Block(after) for _ in range(depth)))
            for before, after, depth in zip(inputs, rest, depths, strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, head, 1) for width in rest)
        self.merges = nn.ModuleList(_Block(head) for _ in rest)
        self.head = nn.Sequential(_Block(head), nn.Conv2d(head, 6, 1))
        bias = self.head[-1].bias
        assert isinstance(bias, Tensor)
        nn.init.constant_(bias[:1].data, -4.0)  # few cells are the centre of a face

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) uint8 grey, H and W multiples of 32 -> (B, 6, H/8, W/8).

        The channels are the logit of a face centre in this cell; the centre's offset from the middle of the cell to the
        right and down, in cells; the logarithm of the width of the square around the face's points, in cells; the
        cosine and the sine of its roll.
        """
        levels = [self.stem(images.float() / 255 - 0.5)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        merged: Tensor | None = None
        for level, lateral, merge in zip(levels[:0:-1], self.laterals[::-1], self.merges[::-1], strict=True):
            here = lateral(level)
            if merged is not None:
                here = here + nn.functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = merge(here)
        maps: Tensor = self.head(merged)
        return maps


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _reduction(inputs: int, outputs: int) -> nn.Sequential:
    """Half the width and height: each channel alone, then all together."""
    return nn.Sequential(_convolution(inputs, inputs, 5, 2, groups=inputs), _convolution(inputs, outputs, 1))


class _Block(nn.Module):
    """A residual block: each channel alone, then all together (Howard et al., arXiv:1704.04861, section 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 5, 1, 2, groups=width, bias=False),
            nn.BatchNorm2d(width),
            _convolution(width, width, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        refined: Tensor = features + self.layers(features)
        return refined
