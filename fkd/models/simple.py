"""Four convolutions and three dense layers."""

from torch import nn

from fkd.models.layers import ConvNet, Dropout, Layers


class Simple(ConvNet):
    """The plain network that most people write first for this task; arguments as of `ConvNet`.

    69,925,000 parameters at 224 px, 1 channel and 68 points, nearly all in the first dense layer.
    """

    name = "simple"

    def convolutions(self, channels: int, dropout: float) -> Layers:
        yield from (nn.Conv2d(channels, 32, 5), nn.MaxPool2d(2), nn.ReLU())
        yield from (nn.Conv2d(32, 64, 5), nn.MaxPool2d(2), nn.ReLU())
        yield from (nn.Conv2d(64, 128, 3), nn.MaxPool2d(2), nn.ReLU())
        yield from (nn.Conv2d(128, 256, 3), nn.ReLU())

    def dense(self, features: int, outputs: int, dropout: float) -> Layers:
        yield from (nn.Linear(features, 512), nn.ReLU(), Dropout(0.25 * dropout))
        yield from (nn.Linear(512, 256), nn.ReLU(), Dropout(0.2 * dropout))
        yield nn.Linear(256, outputs)
