"""NaimishNet."""

from torch import nn

from fkd.models.layers import ELU, ConvNet, Dropout, Layers


class NaimishNet(ConvNet):
    """NaimishNet (Agarwal, Krohn-Grimberghe and Vyas, arXiv:1710.00977, section III); arguments as of `ConvNet`.

    The paper trains one network per point on 96 px; this network gives all K points. 44,487,096 parameters at 224 px,
    1 channel and 68 points.
    """

    name = "naimish"

    def convolutions(self, channels: int, dropout: float) -> Layers:
        yield from (nn.Conv2d(channels, 32, 4), nn.MaxPool2d(2), ELU(), Dropout(0.1 * dropout))
        yield from (nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), ELU(), Dropout(0.2 * dropout))
        yield from (nn.Conv2d(64, 128, 2), nn.MaxPool2d(2), ELU(), Dropout(0.3 * dropout))
        yield from (nn.Conv2d(128, 256, 1), nn.MaxPool2d(2), ELU(), Dropout(0.4 * dropout))

    def dense(self, features: int, outputs: int, dropout: float) -> Layers:
        yield from (nn.Linear(features, 1000), ELU(), Dropout(0.5 * dropout))
        yield from (nn.Linear(1000, 1000), Dropout(0.6 * dropout))  # linear in the paper, too
        yield nn.Linear(1000, outputs)
