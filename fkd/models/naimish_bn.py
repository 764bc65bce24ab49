"""NaimishNet with BatchNorm."""

from collections import OrderedDict

from torch import nn

from fkd.models.layers import ELU, Dropout, flat_features, initialise


class NaimishNetBatchNorm(nn.Sequential):
    """NaimishNet (arXiv:1710.00977) with BatchNorm after every layer but the output; dropout in the dense part only.

    44,492,056 parameters at 224 px, 1 channel and 68 points: NaimishNet's and two for each of the 480 channels and
    2,000 hidden units. Training needs batches of at least two faces.

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
            *(nn.Conv2d(channels, 32, 4), nn.BatchNorm2d(32), nn.MaxPool2d(2), ELU()),
            *(nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.MaxPool2d(2), ELU()),
            *(nn.Conv2d(64, 128, 2), nn.BatchNorm2d(128), nn.MaxPool2d(2), ELU()),
            *(nn.Conv2d(128, 256, 1), nn.BatchNorm2d(256), nn.MaxPool2d(2), ELU()),
        )
        count = flat_features("naimish_bn", features, channels, size)
        head = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(count, 1000), nn.BatchNorm1d(1000), ELU(), Dropout(0.5 * dropout)),
            *(nn.Linear(1000, 1000), nn.BatchNorm1d(1000), Dropout(0.6 * dropout)),
            nn.Linear(1000, 2 * keypoints),
        )
        super().__init__(OrderedDict(features=features, head=head))
        initialise(self, init)
