"""Four convolutions and wide dense layers, each with BatchNorm."""

from torch import nn

from fkd.models.layers import ConvNet, Dropout, Layers


class BatchNormNet(ConvNet):
    """Four 3x3 convolutions and three dense layers with BatchNorm (Ioffe and Szegedy, ICML 2015) before each ReLU.

    Arguments as of `ConvNet`. 151,995,936 parameters at 224 px, 1 channel and 68 points. Training needs batches of at
    least two faces.
    """

    name = "batchnorm"

    def convolutions(self, channels: int, dropout: float) -> Layers:
        yield from (nn.Conv2d(channels, 32, 3), nn.BatchNorm2d(32), nn.MaxPool2d(2), nn.ReLU())
        yield from (nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.MaxPool2d(2), nn.ReLU())
        yield from (nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128), nn.MaxPool2d(2), nn.ReLU())
        yield from (nn.Conv2d(128, 256, 3), nn.BatchNorm2d(256), nn.MaxPool2d(2), nn.ReLU())

    def dense(self, features: int, outputs: int, dropout: float) -> Layers:
        yield from (nn.Linear(features, 4000), nn.BatchNorm1d(4000), nn.ReLU(), Dropout(0.4 * dropout))
        yield from (nn.Linear(4000, 1000), nn.BatchNorm1d(1000), nn.ReLU(), Dropout(0.4 * dropout))
        yield nn.Linear(1000, outputs)
