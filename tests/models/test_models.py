"""Networks: sizes against the table, shapes, order of layers, gradients, and errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from fkd.errors import UserError
from fkd.models.batchnorm import BatchNormNet
from fkd.models.compact import Compact, SoftArgmax
from fkd.models.conv5 import Conv5
from fkd.models.naimish import NaimishNet
from fkd.models.naimish_bn import NaimishNetBatchNorm
from fkd.models.simple import Simple
from tests.config.test_conf import compose

CONF = Path(__file__).parents[2] / "conf" / "model"

# Class, convolutions (channels, kernel, pooled), dense widths, BatchNorm, least size, parameters at 224 px.
NETS = {
    "simple": (
        Simple,
        ((32, 5, True), (64, 5, True), (128, 3, True), (256, 3, False)),
        (512, 256),
        False,
        44,
        69_925_000,
    ),
    "batchnorm": (
        BatchNormNet,
        ((32, 3, True), (64, 3, True), (128, 3, True), (256, 3, True)),
        (4000, 1000),
        True,
        46,
        151_995_936,
    ),
    "naimish": (
        NaimishNet,
        ((32, 4, True), (64, 3, True), (128, 2, True), (256, 1, True)),
        (1000, 1000),
        False,
        27,
        44_487_096,
    ),
    "naimish_bn": (
        NaimishNetBatchNorm,
        ((32, 4, True), (64, 3, True), (128, 2, True), (256, 1, True)),
        (1000, 1000),
        True,
        27,
        44_492_056,
    ),
    "conv5": (
        Conv5,
        ((32, 5, True), (64, 3, True), (128, 3, True), (256, 3, True), (512, 1, True)),
        (1024,),
        False,
        64,
        19_534_728,
    ),
}

LAYERS = {
    "simple": ["Conv2d MaxPool2d ReLU"] * 3
    + ["Conv2d ReLU Flatten"]
    + ["Linear ReLU Dropout(0.25)", "Linear ReLU Dropout(0.2)", "Linear"],
    "batchnorm": ["Conv2d BatchNorm2d MaxPool2d ReLU"] * 4
    + ["Flatten"]
    + ["Linear BatchNorm1d ReLU Dropout(0.4)"] * 2
    + ["Linear"],
    "naimish": [f"Conv2d MaxPool2d ELU Dropout({rate})" for rate in (0.1, 0.2, 0.3, 0.4)]
    + ["Flatten", "Linear ELU Dropout(0.5)", "Linear Dropout(0.6)", "Linear"],
    "naimish_bn": ["Conv2d BatchNorm2d MaxPool2d ELU"] * 4
    + ["Flatten", "Linear BatchNorm1d ELU Dropout(0.5)", "Linear BatchNorm1d Dropout(0.6)", "Linear"],
    "conv5": ["Conv2d MaxPool2d SELU Dropout(0.2)"] * 5 + ["Flatten", "Linear SELU", "Linear"],
}


INIT = {"naimish": "keras", "naimish_bn": "keras"}
"""Published initial weights other than torch's own."""


def compact(channels=1, size=96, keypoints=68):
    net = OmegaConf.to_container(OmegaConf.load(CONF / "compact.yaml").net, resolve=False)
    chosen = {"channels": channels, "size": size, "keypoints": keypoints, "center": (size - 1) / 2, "unit": size / 2}
    return Compact(**{key: value for key, value in net.items() if key != "_target_"} | chosen)


def grid(cells):
    """Centres of the cells, the outer edges at -1 and 1."""
    return (2 * torch.arange(cells) + 1) / cells - 1


def build(name, channels, size, keypoints, dropout=1.0, init=None):
    """As published, unless told otherwise."""
    if name == "compact":
        return compact(channels, size, keypoints)
    return NETS[name][0](channels, size, keypoints, dropout, init or INIT.get(name, "torch"))


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def expected_count(convolutions, dense, norm, channels, size, keypoints):
    """Weights and biases layer by layer, from the table alone."""
    total = 0
    for width, kernel, pooled in convolutions:
        total += width * (channels * kernel * kernel + 1 + 2 * norm)
        size = size - kernel + 1
        size = size // 2 if pooled else size
        channels = width
    inputs = channels * size * size
    for width in dense:
        total += width * (inputs + 1 + 2 * norm)
        inputs = width
    return total + 2 * keypoints * (inputs + 1)


@pytest.mark.parametrize("name", NETS)
def test_parameters_are_those_of_the_table(name):
    _, convolutions, dense, norm, _, parameters = NETS[name]
    with torch.device("meta"):
        found = count(build(name, 1, 224, 68))
        assert found == parameters == expected_count(convolutions, dense, norm, 1, 224, 68)
        assert count(build(name, 3, 97, 15)) == expected_count(convolutions, dense, norm, 3, 97, 15)


@pytest.mark.parametrize("name", NETS)
def test_layers_stand_in_order(name):
    with torch.device("meta"):
        net = build(name, 1, 96, 68)
    leaves = [layer for layer in net.modules() if not list(layer.children())]
    found = [f"Dropout({layer.p})" if isinstance(layer, nn.Dropout) else type(layer).__name__ for layer in leaves]
    assert found == " ".join(LAYERS[name]).split()
    kernels = [(layer.out_channels, *layer.kernel_size) for layer in leaves if isinstance(layer, nn.Conv2d)]
    assert kernels == [(width, kernel, kernel) for width, kernel, _ in NETS[name][1]]


@pytest.mark.parametrize("name", [*NETS, "compact"])
@pytest.mark.parametrize(
    ("channels", "size", "keypoints"), [(1, 64, 68), (3, 96, 15), (1, 96, 15), (3, 128, 68), (1, 224, 68), (3, 224, 15)]
)
def test_output_is_two_numbers_a_point(name, channels, size, keypoints):
    device = "meta" if name != "compact" else "cpu"  # shapes suffice; the large nets take a second each to initialise
    with torch.device(device):
        net = build(name, channels, size, keypoints).eval()
        assert net(torch.empty(2, channels, size, size)).shape == (2, 2 * keypoints)


@pytest.mark.parametrize("name", [*NETS, "compact"])
def test_gradient_reaches_every_parameter(name):
    net = build(name, 1, 64, 5)
    net(torch.rand(8, 1, 64, 64)).square().sum().backward()
    # BatchNorm takes a bias off again: its gradient is 0 but for rounding, so only weights must feel one.
    dead = [
        key for key, value in net.named_parameters() if value.grad is None or not (value.ndim == 1 or value.grad.any())
    ]
    assert not dead


@pytest.mark.parametrize("name", NETS)
def test_too_small_a_image_names_the_least_size(name):
    *_, least, _ = NETS[name]
    with torch.device("meta"):
        build(name, 1, least, 68)
    message = f"model={name} needs crop.size of at least {least}, found {least - 1}; choose a larger crop.size"
    with pytest.raises(UserError) as error:
        build(name, 1, least - 1, 68)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["naimish", "naimish_bn"])
def test_naimish_starts_as_in_keras(name):
    net = build(name, 1, 64, 68)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            bound = 0.05
        elif isinstance(layer, nn.Linear):
            bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
        else:
            continue
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not layer.bias.any()


@pytest.mark.parametrize(("init", "gain"), [("he", 2), ("lecun", 1)])
def test_initial_weights_keep_the_variance(init, gain):
    """Layers answer to random inputs of variance 1 with that of the gain, which ReLU halves for He's 2."""
    net = build("simple", 1, 64, 68, init=init)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shape = (64, layer.in_channels, 9, 9) if isinstance(layer, nn.Conv2d) else (512, layer.in_features)
            assert layer(torch.randn(shape)).var().item() == pytest.approx(gain, rel=0.25)
            assert not layer.bias.any()
    with pytest.raises(UserError, match=r"^model\.net\.init=hee: expected one of torch, he, lecun, keras$"):
        build("simple", 1, 64, 68, init="hee")


@pytest.mark.parametrize("name", NETS)
def test_dropout_is_a_share_of_what_is_published(name):
    def rates(dropout):
        with torch.device("meta"):
            layers = build(name, 1, 96, 68, dropout).modules()
        return [layer.p for layer in layers if isinstance(layer, nn.Dropout)]

    assert rates(0.5) == pytest.approx([rate / 2 for rate in rates(1.0)])
    assert not any(rates(0.0))


@pytest.mark.parametrize("name", [*NETS, "compact"])
def test_the_group_fits_its_class(name):
    conf = OmegaConf.load(CONF / f"{name}.yaml")
    raw = OmegaConf.to_container(conf, resolve=False)
    target = NETS[name][0] if name in NETS else Compact
    assert raw["name"] == name
    assert raw["net"]["_target_"] == f"{target.__module__}.{target.__name__}"
    assert raw["defaults"] == ["base"]


@pytest.mark.parametrize("unit", [0.0, -0.0, -1.0, float("nan")])
def test_compact_needs_a_unit_as_its_codec_does(unit: float) -> None:
    with pytest.raises(UserError, match=r"model\.net\.unit=.*: expected pixels above 0"):
        Compact(1, 32, 5, 8, [8, 8, 8], [1, 1, 1], 15.5, unit)


def test_compact_answers_in_its_codecs_unit():
    """The same weights in another unit give the same pixels, but for the correction layer, which starts at zero."""
    image = torch.rand(2, 1, 32, 32)
    keypoints = []
    for center, unit in ((15.5, 16.0), (100.0, 50.0)):
        torch.manual_seed(0)
        net = Compact(1, 32, 5, 8, [8, 8, 8], [1, 1, 1], center, unit).eval()
        keypoints.append(net(image) * unit + center)
    torch.testing.assert_close(keypoints[0], keypoints[1], atol=1e-3, rtol=0)
    assert keypoints[0].min() > 0
    assert keypoints[0].max() < 31


def test_compact_is_small():
    assert count(compact()) <= 1_000_000


@pytest.mark.parametrize("size", [8, 20, 100])
def test_compact_wants_multiples_of_16(size):
    nearest = {8: 16, 20: 16, 100: 96}[size]
    message = f"model=compact needs crop.size in multiples of 16, found {size}; use crop.size={nearest}"
    with pytest.raises(UserError) as error:
        compact(size=size)
    assert str(error.value) == message


def test_soft_argmax_finds_a_peak_where_its_cell_stands():
    """Cell c at stride 4 covers crop pixels 4c to 4c + 3; pixel p of S stands at (2p + 1) / S - 1."""
    cells = 24
    pixels = (2 * torch.arange(4 * cells) + 1) / (4 * cells) - 1
    maps = torch.full((1, 2, cells, cells), -100.0)
    maps[0, 0, 3, 20] = maps[0, 1, 0, 23] = 100  # row, column
    found = SoftArgmax(grid(cells), 2)(maps)
    expected = [pixels[4 * cell : 4 * cell + 4].mean() for cell in (20, 3, 23, 0)]
    torch.testing.assert_close(found, torch.stack(expected)[None])


def test_soft_argmax_is_the_mean_under_the_softmax():
    maps = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(3))
    mass = maps.double().exp().numpy()
    for b, k in np.ndindex(2, 3):
        total = mass[b, k].sum()
        x = sum(mass[b, k, i, j] * ((2 * j + 1) / 5 - 1) for i, j in np.ndindex(5, 5)) / total
        y = sum(mass[b, k, i, j] * ((2 * i + 1) / 5 - 1) for i, j in np.ndindex(5, 5)) / total
        assert SoftArgmax(grid(5), 3)(maps)[b, 2 * k : 2 * k + 2].tolist() == pytest.approx([x, y], abs=1e-5)


def test_compact_learns_points_outside_the_crop():
    head = SoftArgmax(grid(6), 2)
    target = torch.tensor([[1.3, -1.2, 0.5, 0.0]])
    maps = torch.zeros(1, 2, 6, 6, requires_grad=True)
    learned = [maps, *head.parameters()]
    for _ in range(200):
        gradients = torch.autograd.grad((head(maps) - target).square().sum(), learned)
        for value, gradient in zip(learned, gradients, strict=True):
            value.data -= 0.1 * gradient
    torch.testing.assert_close(head(maps), target, atol=0.01, rtol=0)


def test_soft_argmax_is_float32_under_autocast():
    head = SoftArgmax(grid(24), 5)
    nn.init.normal_(head.correction.weight)
    maps = torch.randn(1, 5, 24, 24)
    with torch.autocast("cpu", torch.bfloat16):
        found = head(maps)
    assert found.dtype == torch.float32
    assert torch.equal(found, head(maps))


def test_compact_under_autocast_is_compact():
    net = compact(keypoints=5).eval()
    image = torch.rand(2, 1, 96, 96)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = net(image)
    torch.testing.assert_close(half, net(image), atol=0.01, rtol=0)


@pytest.mark.parametrize("name", ["heatmap", "simcc"])
def test_nets_of_other_codecs_give_what_these_encode(name):
    cfg = compose(f"model={name}", "crop.size=64", "channels=3")
    net, codec = instantiate(cfg.model.net).eval(), instantiate(cfg.model.codec)
    raw, target = net(torch.rand(2, 3, 64, 64)), codec.encode(torch.rand(2, 68, 2) * 64)
    assert raw.shape == target.shape
    assert count(net) <= 1_000_000
    raw.square().sum().backward()
    assert all(value.grad is not None and (value.ndim == 1 or value.grad.any()) for value in net.parameters())
