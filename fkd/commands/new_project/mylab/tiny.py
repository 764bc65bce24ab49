"""A small network."""

from torch import Tensor, nn


class Tiny(nn.Module):
    """Two convolutions and a dense layer.

    Args:
        channels, size: of the images.
        keypoints: K.
        width: channels of the convolutions.
    """

    def __init__(self, channels: int, size: int, keypoints: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 5, stride=4),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(36 * width, 2 * keypoints),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, size, size) in [0, 1] -> (B, 2K): x0, y0, x1, y1, ..., where 0 is the crop's centre."""
        keypoints: Tensor = self.layers(image)
        return keypoints
