"""NaimishNet with BatchNorm."""

from torch import nn

from fkd.models.layers import ELU, ConvNet, Dropout, Layers


class NaimishNetBatchNorm(ConvNet):
    """NaimishNet (arXiv:1710.00977) with BatchNorm after every layer but the output; dropout in the dense part only.

    Arguments as of `ConvNet`. 44,492,056 parameters at 224 px, 1 channel and 68 points: NaimishNet's and two for each
    of the 480 channels and 2,000 hidden units. Training needs batches of at least two faces.
    """

    name = "naimish_bn"

    def convolutions(self, channels: int, dropout: float) -> Layers:
        yield from (nn.Conv2d(channels, 32, 4), nn.BatchNorm2d(32), nn.MaxPool2d(2), ELU())
        yield from (nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.MaxPool2d(2), ELU())
        yield from (nn.Conv2d(64, 128, 2), nn.BatchNorm2d(128), nn.MaxPool2d(2), ELU())
        yield from (nn.Conv2d(128, 256, 1), nn.BatchNorm2d(256), nn.MaxPool2d(2), ELU())

    def dense(self, features: int, outputs: int, dropout: float) -> Layers:
        yield from (nn.Linear(features, 1000), nn.BatchNorm1d(1000), ELU(), Dropout(0.5 * dropout))
        yield from (nn.Linear(1000, 1000), nn.BatchNorm1d(1000), Dropout(0.6 * dropout))
        yield nn.Linear(1000, outputs)
