"""Layers that are faster than torch's must give what torch's give."""

import copy
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fkd.models.batchnorm import BatchNormNet
from fkd.models.conv5 import Conv5
from fkd.models.layers import ELU, SELU, Dropout
from fkd.models.naimish import NaimishNet
from fkd.models.naimish_bn import NaimishNetBatchNorm
from fkd.models.simple import Simple


def both_ways(layer: Callable[[Tensor], Tensor], features: Tensor) -> tuple[Tensor, Tensor]:
    """Output and gradient in float32."""
    features = features.detach().clone().requires_grad_()
    output = layer(features)
    output.backward(torch.ones_like(output))
    assert features.grad is not None
    return output.detach().float(), features.grad.float()


@pytest.mark.parametrize(("ours", "torchs"), [(ELU(), nn.ELU()), (SELU(), nn.SELU())])
def test_bfloat16_elus_are_torchs_to_the_last_bit_of_bfloat16(ours: nn.Module, torchs: nn.Module) -> None:
    features = torch.cat([torch.linspace(-12, 12, 4001), torch.logspace(-6, 1, 500), -torch.logspace(-6, 1, 500)])
    features = features.to(torch.bfloat16)
    exact, slope = both_ways(torchs, features.float())
    found, found_slope = both_ways(ours, features)
    torch.testing.assert_close(found, exact, rtol=2**-7, atol=1e-6)
    torch.testing.assert_close(found_slope, slope, rtol=2**-6, atol=2**-7)


@pytest.mark.parametrize("layer", [ELU(), SELU()])
def test_float32_elus_are_torchs_own(layer: nn.Module) -> None:
    features = torch.randn(1000)
    torch.testing.assert_close(layer(features), getattr(nn, type(layer).__name__)()(features), rtol=0, atol=0)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("p", [0.1, 0.4, 0.6])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float, memory: torch.memory_format) -> None:
    torch.manual_seed(0)
    features = torch.ones(8, 7, 45, 33).contiguous(memory_format=memory)
    output, slope = both_ways(Dropout(p), features)
    assert torch.equal(output, slope)  # what is dropped learns nothing, what is kept is scaled
    dropped = (output == 0).float()
    count = features.numel()
    assert abs(dropped.mean().item() - p) < 5 * np.sqrt(p * (1 - p) / count)
    assert output.max().item() == pytest.approx(1 / (1 - p), abs=1e-4)
    for axis in range(4):  # neighbours are independent
        a, b = dropped.narrow(axis, 1, dropped.shape[axis] - 1), dropped.narrow(axis, 0, dropped.shape[axis] - 1)
        assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()) < 5 / np.sqrt(count)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_dropout_takes_any_layout_and_type(dtype: torch.dtype) -> None:
    dense = torch.ones(6, 5, 9, 11, dtype=dtype)
    for features in (dense[:, ::2], dense.transpose(1, 3), torch.ones(1, 1, 1, 1, dtype=dtype).expand(6, 5, 9, 11)):
        output = Dropout(0.5)(features)
        assert output.dtype == dtype
        assert output.shape == features.shape
        assert set(output.flatten().tolist()) == {0.0, 2.0}


def test_dropout_of_nearly_all_is_torchs() -> None:
    assert torch.isfinite(Dropout(1 - 1e-6)(torch.ones(10))).all()


def test_dropout_does_nothing_in_use_and_all_at_one() -> None:
    features = torch.randn(10)
    assert torch.equal(Dropout(0.5).eval()(features), features)
    assert torch.equal(Dropout(0.0)(features), features)
    assert torch.equal(Dropout(1.0)(features), torch.zeros(10))


def test_dropout_follows_the_seed() -> None:
    def draw() -> Tensor:
        torch.manual_seed(3)
        return Dropout(0.5)(torch.ones(1001))

    assert torch.equal(draw(), draw())
    assert not torch.equal(Dropout(0.5)(torch.ones(1001)), draw())


@pytest.mark.parametrize("make", [BatchNormNet, Conv5, NaimishNet, NaimishNetBatchNorm, Simple])
def test_pooling_before_the_activation_is_the_published_order(make: Callable[..., nn.Sequential]) -> None:
    """Both orders give the same outputs and gradients: activations rise with their input, so a maximum stays one."""
    torch.manual_seed(0)
    net = make(channels=1, size=64, keypoints=3, dropout=1.0, init="torch").double()
    for layer in net.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    published = copy.deepcopy(net)
    layers = list(published.features)
    for i, (first, second) in enumerate(pairwise(list(layers))):
        if isinstance(first, nn.MaxPool2d) and isinstance(second, nn.ReLU | nn.ELU | nn.SELU):
            layers[i], layers[i + 1] = second, first
    published.features = nn.Sequential(*layers)
    assert [type(a) for a in layers] != [type(a) for a in net.features]
    images = torch.rand(4, 1, 64, 64, dtype=torch.float64)
    outputs = [model(images) for model in (net, published)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.pow(2).sum().backward()
    for ours, theirs in zip(net.parameters(), published.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
