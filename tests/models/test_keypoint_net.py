"""A net that starts at the mean shape."""

import pytest
import torch
from omegaconf import OmegaConf

from fkd.config.build_module import build_module
from fkd.config.initial_weights import starts_at_mean_shape
from fkd.errors import UserError
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
