"""A net that starts at the mean shape; the spread of its points."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from fkd.codecs import Coordinates
from fkd.config.build_module import build_module
from fkd.config.initial_weights import starts_at_mean_shape
from fkd.errors import UserError
from fkd.models.keypoint_net import KeypointNet
from fkd.schema import IBUG68
from tests.config.test_conf import compose

SMALL = ("crop.size=64", "trainer.precision=32-true")
MEAN = torch.rand(68, 2, generator=torch.Generator().manual_seed(3)) * 64
CROPS = torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("model", ["simple", "batchnorm", "naimish", "naimish_bn", "conv5", "resnet18"])
def test_it_gives_the_mean_shape_for_every_image_and_can_learn(model: str) -> None:
    net = build_module(compose(f"model={model}", "model.starts_at_mean_shape=true", *SMALL)).model
    before = net.eval()(CROPS)
    net.mean_shape.copy_(MEAN)
    net.start_at_mean_shape()
    assert not torch.allclose(before, MEAN.expand_as(before), atol=1)
    torch.testing.assert_close(net(CROPS), MEAN.expand(4, 68, 2))
    net.train().raw(CROPS).square().sum().backward()
    layer = net.output_layer()
    assert layer is not None
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().max() > 0


@pytest.mark.parametrize("model", ["compact", "heatmap loss=heatmap_mse", "simcc loss=simcc_kl"])
def test_a_net_without_such_a_layer_is_refused(model: str) -> None:
    cfg = compose(*f"model={model}".split(), "++model.starts_at_mean_shape=true", *SMALL)
    with pytest.raises(UserError, match=r"^model.starts_at_mean_shape=true: expected false, since model=.* coord"):
        build_module(cfg)


def test_where_other_weights_are_given_a_net_starts_with_these() -> None:
    assert starts_at_mean_shape(compose("model=naimish_bn"))
    assert not starts_at_mean_shape(compose("model=naimish_bn", "weights=some.ckpt"))
    assert not starts_at_mean_shape(compose("model=naimish"))
    assert not starts_at_mean_shape(compose("experiment=notebook/naimish_bn"))
    with pytest.raises(UserError, match=r"^model.starts_at_mean_shape: expected true or false, found 'yess'"):
        starts_at_mean_shape(compose("model=naimish", "model.starts_at_mean_shape=yess"))


def test_a_config_without_weights_as_that_of_benchmarks_is_enough() -> None:
    assert starts_at_mean_shape(OmegaConf.create({"model": {"starts_at_mean_shape": True}}))


class Maps(nn.Module):
    """Heatmaps of one size whatever the image, and coordinates that do not follow from them."""

    def __init__(self, maps: torch.Tensor) -> None:
        super().__init__()
        self.maps = maps

    def with_heatmaps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self(image), self.maps.expand(len(image), -1, -1, -1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(dim=(1, 2, 3))[:, None].expand(-1, 136)


def test_the_spread_is_the_standard_deviation_of_the_softmax_of_a_heatmap() -> None:
    maps = 3 * torch.randn(1, 68, 16, 16, generator=torch.Generator().manual_seed(5))
    net = KeypointNet(Maps(maps), Coordinates(32, 32), IBUG68, 64, 1)
    keypoints, spread = net.with_spread(CROPS)
    assert net.has_spread
    assert torch.equal(keypoints, net(CROPS))
    assert spread is not None
    assert spread.shape == (4, 68)
    logits = maps[0, 7].double().numpy()
    weights = np.exp(logits) / np.exp(logits).sum()
    rows, columns = np.mgrid[:16, :16] * 4.0  # crop pixels
    middle = (weights * rows).sum(), (weights * columns).sum()
    variance = (weights * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)).sum()
    assert spread[2, 7].item() == pytest.approx(np.sqrt(variance), rel=1e-4)


@pytest.mark.parametrize(
    ("model", "has_spread"),
    [
        *(("simple", False), ("resnet18", False)),
        *(("compact", True), ("heatmap loss=heatmap_mse", True), ("simcc loss=simcc_kl", True)),
    ],
)
def test_nets_with_maps_have_a_spread_and_the_same_keypoints(model: str, has_spread: bool) -> None:
    net = build_module(compose(*f"model={model}".split(), *SMALL)).model.eval()
    keypoints, spread = net.with_spread(CROPS)
    assert torch.equal(keypoints, net(CROPS))
    assert net.has_spread == has_spread == (spread is not None)
    if spread is not None:
        assert spread.shape == (4, 68)
        assert (spread > 0).all()
        assert (spread < 64).all()
