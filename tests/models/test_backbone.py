"""torchvision's networks with a head for keypoints."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from hydra.utils import instantiate
from torch import nn
from torchvision.models import ResNet18_Weights, get_model

from fkd.config.build_module import build_module
from fkd.config.initial_weights import initialise
from fkd.errors import UserError
from fkd.inference.torch_net import load_net
from fkd.models.backbone import Backbone
from fkd.training.runs.compatibility import plain
from tests.config.test_conf import compose

NAMES = ("resnet18", "resnet34", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "vgg16_bn")
OFF = ("model.pretrained=false", "crop.size=64")
ON = ("model.pretrained=true", "crop.size=64")


@pytest.mark.parametrize("name", NAMES)
def test_the_group_builds_it_for_grey_and_rgb(name: str) -> None:
    for channels in (1, 3) if name == "resnet18" else (1,):
        cfg = compose(f"model={name}", "crop.size=64", f"channels={channels}")
        net = instantiate(cfg.model.net).eval()
        assert net(torch.rand(2, channels, 64, 64)).shape == (2, 136)
        convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
        assert convolutions[0].in_channels == channels


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights that stand for ImageNet's."""
    torch.manual_seed(3)
    weights: dict[str, torch.Tensor] = get_model("resnet18", weights=None).state_dict()
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda *_, **__: weights)
    return weights


def test_a_grey_image_is_one_of_three_equal_channels(learned: dict[str, torch.Tensor]) -> None:
    grey, rgb = (Backbone(channels, 64, 5, "resnet18", 8).eval() for channels in (1, 3))
    for net in (grey, rgb):
        net.load_pretrained()
    # with one mean and spread for all channels, as a grey image has them
    rgb.mean[:], rgb.std[:] = rgb.mean.mean(), rgb.std.mean()
    image = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(
        grey.body((image - grey.mean) / grey.std),
        rgb.body((image.expand(-1, 3, -1, -1) - rgb.mean) / rgb.std),
        atol=1e-4,
        rtol=1e-4,
    )
    assert torch.equal(rgb.body.get_parameter("layer4.1.conv2.weight"), learned["layer4.1.conv2.weight"])


def test_a_training_begins_with_them_and_a_checkpoint_never_asks_for_them(
    learned: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = compose("model=resnet18", *ON)
    module = build_module(cfg)
    initialise(module, cfg)
    assert torch.equal(module.model.net.get_parameter("body.layer1.0.conv1.weight"), learned["layer1.0.conv1.weight"])

    def download(*_: Any, **__: Any) -> None:
        raise AssertionError("a checkpoint has its own weights")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", download)
    content = {"config": plain(cfg), "state_dict": module.state_dict(), "scores": {}, "subjects": []}
    torch.save(content, tmp_path / "best.ckpt")
    loaded = load_net(tmp_path / "best.ckpt")
    assert torch.equal(loaded.model.net.get_parameter("head.4.weight"), module.model.net.get_parameter("head.4.weight"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_downloaded_unless_one_asks_for_it(name: str) -> None:
    assert compose(f"model={name}").model.pretrained is False


def test_without_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", download)
    cfg = compose("model=resnet18", *ON)
    with pytest.raises(UserError, match=r"expected to download https://.*\.pth, but it failed .* or set model\."):
        initialise(build_module(cfg), cfg)


def groups(*overrides: str, scheduler: str = "none") -> tuple[Any, Any]:
    """The module and the optimizer that it trains with; a training has 100 steps."""
    cfg = compose("model=resnet18", *OFF, f"scheduler={scheduler}", *overrides)
    module = build_module(cfg)

    class Trainer:
        estimated_stepping_batches = 100

    module._trainer = Trainer()  # type: ignore[assignment]
    module.setup("fit")
    made = module.configure_optimizers()
    return module, made["optimizer"] if isinstance(made, dict) else made


def test_frozen_parts_do_not_learn() -> None:
    module, optimizer = groups("model.frozen=[body.conv1,body.bn1]")
    learning = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in module.model.net.named_parameters():
        assert (id(parameter) in learning) is not name.startswith(("body.conv1.", "body.bn1."))
    module.train()
    assert not module.model.net.body.bn1.training
    assert module.model.net.body.layer1.training


@pytest.mark.parametrize("scheduler", ["none", "onecycle", "cosine"])
def test_parts_have_their_share_of_the_learning_rate(scheduler: str) -> None:
    factors = "model.lr_factors={body: 0.1, body.layer4: 0.5}"
    module, optimizer = groups(factors, scheduler=scheduler)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    _, plain = groups(scheduler=scheduler)
    whole = plain.param_groups[0]["lr"]
    for name, parameter in module.model.net.named_parameters():
        factor = 0.5 if name.startswith("body.layer4.") else 0.1 if name.startswith("body.") else 1.0
        assert rates[id(parameter)] == pytest.approx(factor * whole)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.frozen=[boddy.conv1]"],
            r"^model.frozen: expected parts of the net \(body, head, or parts of these\), found 'boddy.conv1'; did you "
            r"mean body.conv1 or ",
        ),
        (["model.lr_factors={x: 1}"], r"model.lr_factors: .* found 'x'$"),
        (["model.frozen=[body,head]"], "model.frozen: expected parts that leave something to learn, found all"),
        (["model.lr_factors={body: 0}"], "model.lr_factors.body: expected a factor above 0, found 0"),
        (["model.net.name=resnet19"], r"^model.net.name=resnet19: expected .*torchvision.models .*\(resnet\*, .*found"),
        (["model.net.name=convnext_tiny", "crop.size=16"], "^model=convnext_tiny: crop.size=16 is too small for it"),
        (["channels=2"], r"model=resnet18: expected channels=1 \(grey\) or 3 \(RGB\), found 2"),
    ],
)
def test_mistakes_are_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_module(compose("model=resnet18", *OFF, *overrides))


OTHERS = ("vit_b_16", "googlenet", "inception_v3", "densenet121", "shufflenet_v2_x0_5", "mnasnet0_5", "mobilenet_v2")


@pytest.mark.parametrize("name", [*OTHERS, "squeezenet1_1", "maxvit_t", "fasterrcnn_resnet50_fpn"])
def test_a_network_of_another_make_is_named_and_what_can_be_chosen(name: str) -> None:
    with pytest.raises(
        UserError, match=rf"^model.net.name={name}: expected .*torchvision.models .*\(resnet\*, .*found"
    ):
        Backbone(channels=1, size=128, keypoints=68, name=name, reduced=8)


FAMILIES = ("resnet18", "resnext50_32x4d", "mobilenet_v3_small", "efficientnet_b0", "vgg11", "convnext_tiny")


@pytest.mark.parametrize("name", [*FAMILIES, "regnet_y_400mf"])
def test_the_body_is_what_the_classifier_itself_computes_before_it_averages(name: str) -> None:
    net = Backbone(channels=3, size=64, keypoints=5, name=name, reduced=8).eval()
    whole = get_model(name, weights=None).eval()
    whole.load_state_dict(net.body.state_dict(), strict=False)
    averaged: list[torch.Tensor] = []
    whole.get_submodule("avgpool").register_forward_pre_hook(lambda _, given: averaged.append(given[0]))
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 64)
        whole(image)
        torch.testing.assert_close(net.body(image), averaged[0])


def test_only_what_others_have_trained_can_be_begun_with() -> None:
    cfg = compose("model=compact", "+model.pretrained=true", "crop.size=32")
    with pytest.raises(UserError, match=r"model.pretrained=true: expected false, since model=compact has no such"):
        initialise(build_module(cfg), cfg)


def test_a_net_is_gone_on_with_in_another_way_but_not_as_another_net(tmp_path: Path) -> None:
    cfg = compose("model=resnet18", *OFF)
    first = build_module(cfg)
    content = {"config": plain(cfg), "state_dict": first.state_dict(), "scores": {}, "subjects": ["Ada"]}
    torch.save(content, tmp_path / "first.ckpt")
    weights = f"weights={tmp_path}/first.ckpt"
    other = compose("model=resnet18", *OFF, weights, "model.frozen=[body]", "model.lr_factors={head: 2}")
    module = build_module(other)
    initialise(module, other)
    assert torch.equal(module.model.net.get_parameter("head.4.weight"), first.model.net.get_parameter("head.4.weight"))
    assert module.subjects == ["Ada"]
    wider = compose("model=resnet18", *OFF, weights, "weights_strict=true", "model.net.reduced=64")
    with pytest.raises(UserError, match=r"first.ckpt: expected a net with model\.net\.reduced=64, found 128"):
        initialise(build_module(wider), wider)


def test_running_means_keep_up_with_short_trainings() -> None:
    """Torchvision gives those of MobileNetV3 one hundredth of each batch: after 69 steps half is still the start."""
    layers = Backbone(1, 64, 5, "mobilenet_v3_small", 8).modules()
    assert {layer.momentum for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {0.1}
