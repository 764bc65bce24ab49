"""Four convolutions and wide dense layers, each with BatchNorm."""

from collections import OrderedDict

from torch import nn

from fkd.models.layers import Dropout, flat_features, initialise


class BatchNormNet(nn.Sequential):
    """Four 3x3 convolutions and three dense layers with BatchNorm (Ioffe and Szegedy, ICML 2015) before each ReLU.

    151,995,936 parameters at 224 px, 1 channel and 68 points. Training needs batches of at least two faces.

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
            *(nn.Conv2d(channels, 32, 3), nn.BatchNorm2d(32), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(128, 256, 3), nn.BatchNorm2d(256), nn.MaxPool2d(2), nn.ReLU()),
        )
        count = flat_features("batchnorm", features, channels, size)
        head = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(count, 4000), nn.BatchNorm1d(4000), nn.ReLU(), Dropout(0.4 * dropout)),
            *(nn.Linear(4000, 1000), nn.BatchNorm1d(1000), nn.ReLU(), Dropout(0.4 * dropout)),
            nn.Linear(1000, 2 * keypoints),
        )
        super().__init__(OrderedDict(features=features, head=head))
        initialise(self, init)
