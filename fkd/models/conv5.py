"""Five convolutions and two dense layers with SELU."""

from torch import nn

from fkd.models.layers import SELU, ConvNet, Dropout, Layers


class Conv5(ConvNet):
    """Five convolutions with SELU (Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017).

    Arguments as of `ConvNet`. 19,534,728 parameters at 224 px, 1 channel and 68 points.
    """

    name = "conv5"

    def convolutions(self, channels: int, dropout: float) -> Layers:
        yield from (nn.Conv2d(channels, 32, 5), nn.MaxPool2d(2), SELU(), Dropout(0.2 * dropout))
        yield from (nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), SELU(), Dropout(0.2 * dropout))
        yield from (nn.Conv2d(64, 128, 3), nn.MaxPool2d(2), SELU(), Dropout(0.2 * dropout))
        yield from (nn.Conv2d(128, 256, 3), nn.MaxPool2d(2), SELU(), Dropout(0.2 * dropout))
        yield from (nn.Conv2d(256, 512, 1), nn.MaxPool2d(2), SELU(), Dropout(0.2 * dropout))

    def dense(self, features: int, outputs: int, dropout: float) -> Layers:
        yield from (nn.Linear(features, 1024), SELU(), nn.Linear(1024, outputs))
