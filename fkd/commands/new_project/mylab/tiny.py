"""A small network."""

from torch import Tensor, nn


class Tiny(nn.Module):
    """Four convolutions, each of which halves the image, and a dense layer.

    Args:
        channels, size: of the images.
        keypoints: K.
        width: channels of the first convolution.
    """

    def __init__(self, channels: int, size: int, keypoints: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            halving(channels, width),
            halving(width, 2 * width),
            halving(2 * width, 4 * width),
            halving(4 * width, 4 * width),
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),  # not averaged over the image: each place has weights of its own
            nn.Linear(36 * 4 * width, 2 * keypoints),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, size, size) in [0, 1] -> (B, 2K): x0, y0, x1, y1, ..., where 0 is the crop's centre."""
        keypoints: Tensor = self.layers(image)
        return keypoints


def halving(channels: int, width: int) -> nn.Sequential:
    """(B, channels, S, S) -> (B, width, S / 2, S / 2)."""
    convolution = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
