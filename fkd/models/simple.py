"""Four convolutions and three dense layers."""

from collections import OrderedDict

from torch import nn

from fkd.models.layers import Dropout, flat_features, initialise


class Simple(nn.Sequential):
    """The plain network that most people write first for this task.

    69,925,000 parameters at 224 px, 1 channel and 68 points, nearly all in the first dense layer.

    Args:
        channels: of the images, (B, channels, size, size) in [0, 1].
        size: their width and height in pixels.
        keypoints: K; the output is (B, 2K), x0, y0, x1, y1, ... in the codec's unit.
        dropout: factor on the published dropout rates, from 0 (none) to 1.
        init: of the weights, see `fkd.models.layers.initialise`.

    Raises:
        UserError: the size is too small for the convolutions, or there is no such `init`.
    """

    def __init__(self, channels: int, size: int, keypoints: int, dropout: float, init: str) -> None:
        features = nn.Sequential(
            *(nn.Conv2d(channels, 32, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(32, 64, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(64, 128, 3), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(128, 256, 3), nn.ReLU()),
        )
        head = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(flat_features("simple", features, channels, size), 512), nn.ReLU(), Dropout(0.25 * dropout)),
            *(nn.Linear(512, 256), nn.ReLU(), Dropout(0.2 * dropout)),
            nn.Linear(256, 2 * keypoints),
        )
        super().__init__(OrderedDict(features=features, head=head))
        initialise(self, init)
