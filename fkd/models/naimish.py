"""NaimishNet."""

from collections import OrderedDict

from torch import nn

from fkd.models.layers import ELU, Dropout, flat_features, initialise


class NaimishNet(nn.Sequential):
    """NaimishNet (Agarwal, Krohn-Grimberghe and Vyas, arXiv:1710.00977, section III), for K points at once.

    The paper trains one network per point on 96 px; here one network gives all of them. 44,487,096 parameters at
    224 px, 1 channel and 68 points.

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
            *(nn.Conv2d(channels, 32, 4), nn.MaxPool2d(2), ELU(), Dropout(0.1 * dropout)),
            *(nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), ELU(), Dropout(0.2 * dropout)),
            *(nn.Conv2d(64, 128, 2), nn.MaxPool2d(2), ELU(), Dropout(0.3 * dropout)),
            *(nn.Conv2d(128, 256, 1), nn.MaxPool2d(2), ELU(), Dropout(0.4 * dropout)),
        )
        head = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(flat_features("naimish", features, channels, size), 1000), ELU(), Dropout(0.5 * dropout)),
            *(nn.Linear(1000, 1000), Dropout(0.6 * dropout)),  # linear in the paper too
            nn.Linear(1000, 2 * keypoints),
        )
        super().__init__(OrderedDict(features=features, head=head))
        initialise(self, init)
