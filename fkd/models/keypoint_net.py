"""A network with its codec and schema, which finds keypoints without training code or config."""

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from fkd.codecs import Codec, GivesSpread, spread_of
from fkd.errors import UserError
from fkd.schema import KeypointSchema


@runtime_checkable
class ReadsHeatmaps(Protocol):
    """A network that computes coordinates from heatmaps."""

    def with_heatmaps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) in [0, 1] -> the output, and the heatmaps (B, K, cells, cells) before their softmax."""
        ...


class KeypointNet(nn.Module):
    """Finds K keypoints on crops.

    Args:
        net: (B, C, S, S) float images in [0, 1] -> raw output.
        codec: between raw output and crop pixels.
        schema: of the K points.
        size: S, width and height of the crops.
        channels: C, 1 for grey or 3 for RGB.
    """

    mean_shape: Tensor
    """(K, 2) crop pixels, mean of the training faces: the baseline of every score. Zero before training."""

    def __init__(self, net: nn.Module, codec: Codec, schema: KeypointSchema, size: int, channels: int) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.codec, self.schema, self.size, self.channels = codec, schema, size, channels
        self.register_buffer("mean_shape", torch.zeros(len(schema), 2))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 crops -> (B, K, 2) crop pixels."""
        return self.codec.decode(self.raw(images))

    def raw(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 -> the network's raw output, float32; includes the scaling of images to [0, 1]."""
        return cast(Tensor, self.net(self._scaled(images))).float()

    def raw_with_heatmaps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the heatmaps of a network that `ReadsHeatmaps`, float32."""
        raw, heatmaps = cast(ReadsHeatmaps, self.net).with_heatmaps(self._scaled(images))
        return raw.float(), heatmaps.float()

    @property
    def has_spread(self) -> bool:
        """Whether the net shows how certain each point is."""
        return isinstance(self.net, ReadsHeatmaps) or isinstance(self.codec, GivesSpread)

    def with_spread(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The keypoints, and the spread of each, (B, K) crop pixels: None if the net does not have one."""
        raw, spread = self.raw_with_spread(images)
        return self.codec.decode(raw), spread

    def raw_with_spread(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The raw output, and the spread: the standard deviation of the point's place in its heatmap."""
        if isinstance(self.net, ReadsHeatmaps):
            raw, heatmaps = self.raw_with_heatmaps(images)
            weights = heatmaps.flatten(2).softmax(dim=2).reshape(heatmaps.shape)
            spread = spread_of(weights.sum(dim=2), weights.sum(dim=3))
            return raw, spread * (self.size / heatmaps.shape[-1])
        raw = self.raw(images)
        return raw, self.codec.spread(raw) if isinstance(self.codec, GivesSpread) else None

    def check_output(self, name: str) -> None:
        """Run the network on one black crop; its output must have as many numbers as the encoded points.

        Raises:
            UserError: it does not; the message has the model's `name`.
            Exception: that of the network's `forward`, with a note that names the model.
        """
        try:
            raw = self._raw_of_black()
        except Exception as error:
            shape = (1, self.channels, self.size, self.size)
            error.add_note(f"model={name}: its forward failed on an image of shape {shape}")
            raise
        target = self.codec.encode(torch.zeros(1, len(self.schema), 2, device=raw.device))
        if raw.numel() != target.numel():
            raise UserError(
                f"model={name}: expected output of shape {tuple(target.shape)} for {len(self.schema)} points through "
                f"{type(self.codec).__name__}, found {tuple(raw.shape)}; change its last layer or choose another codec"
            )
        self.codec.decode(raw)

    def output_layer(self) -> nn.Linear | None:
        """The dense layer whose output, coordinates, is the network's; None if there is none."""
        outputs: dict[nn.Linear, Tensor] = {}
        layers = [layer for layer in self.net.modules() if isinstance(layer, nn.Linear) and layer.bias is not None]
        hooks = [
            layer.register_forward_hook(lambda layer, _, output: outputs.update({layer: output})) for layer in layers
        ]
        raw = self._raw_of_black()
        for hook in hooks:
            hook.remove()
        fitting = (layer for layer, output in outputs.items() if torch.equal(output, raw))
        return next(fitting, None) if self.codec.gives == "coordinates" else None

    def start_at_mean_shape(self) -> None:
        """Give `mean_shape` for every image, until training teaches better: weights 0 and the shape as bias.

        Raises:
            ValueError: there is no `output_layer`.
        """
        if (layer := self.output_layer()) is None:
            raise ValueError("start_at_mean_shape: expected a dense layer that gives the network's coordinates")
        nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.copy_(self.codec.encode(self.mean_shape).flatten())

    def _raw_of_black(self) -> Tensor:
        """The raw output for one black crop, in evaluation mode; leaves the mode as it was."""
        training = self.training
        with torch.inference_mode():
            shape, device = (1, self.channels, self.size, self.size), self.mean_shape.device
            raw = self.eval().raw(torch.zeros(shape, dtype=torch.uint8, device=device))
        self.train(training)
        return raw

    def _scaled(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last).to(self.mean_shape.dtype).div_(255)
