"""An untrusted net takes no more time and memory than its file allows, and answers as if it were built as usual."""

import resource
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import models

from fkd.config.build_module import build_module
from fkd.errors import UserError
from fkd.inference.torch_net import load_net
from fkd.inference.without_memory import WithoutMemory
from fkd.models.backbone import Backbone
from fkd.training.module import KeypointModule
from fkd.training.runs.compatibility import plain
from tests.config.test_conf import compose

CROPS = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trained(*overrides: str) -> KeypointModule:
    module = build_module(compose("detector=haar", "crop.size=64", *overrides)).eval()
    module.learn_about(np.ones((68, 2), np.float32), np.random.default_rng(0).random((9, 68, 2)), [])
    return module


def content(module: KeypointModule) -> dict[str, Any]:
    shapes = None if module.shapes is None else module.shapes.to_dict()
    weights = {"state_dict": module.state_dict(), "shapes": shapes}
    return {"config": module.config, "scores": {}, "subjects": [], **weights}


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=compact",),
        ("model=heatmap", "loss=heatmap_mse"),
        ("model=simcc", "loss=simcc_kl"),
        ("model=naimish_bn",),
        ("model=resnet18", "model.net.reduced=4"),
        ("model=resnet18", "model.net.name=regnet_y_400mf"),
    ],
)
def test_it_answers_as_the_net_that_was_trained(overrides: tuple[str, ...], tmp_path: Path) -> None:
    module = trained(*overrides)
    torch.save(content(module), tmp_path / "net.ckpt")
    net = load_net(tmp_path / "net.ckpt").model
    with torch.inference_mode():
        assert torch.equal(net(CROPS), module.model.eval()(CROPS))
    for expected, found in zip(module.model.named_parameters(), net.named_parameters(), strict=True):
        assert (expected[0], expected[1].dtype, expected[1].stride()) == (found[0], found[1].dtype, found[1].stride())
        assert found[1].requires_grad
    assert not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers()))


@pytest.mark.parametrize("name", models.list_models(models, include="regnet*"))
def test_regnets_which_read_numbers_off_tensors_are_built(name: str) -> None:
    with WithoutMemory():
        net = Backbone(1, 64, 5, name, 8)
        assert net.to("meta")(torch.zeros(1, 1, 64, 64)).shape == (1, 10)
    assert all(weights.is_meta for weights in net.parameters())


def layer(**values: Any) -> dict[str, Any]:
    return {"_target_": "torch.nn.TransformerEncoderLayer", "d_model": 8, "nhead": 2} | values


def nested(levels: int) -> dict[str, Any]:
    """Copies of copies: 90 to the power of the levels."""
    net: dict[str, Any] = {"_target_": "torch.nn.ReLU"}
    for _ in range(levels):
        net = {"_target_": "torch.nn.TransformerDecoder", "decoder_layer": net, "num_layers": 90}
    return net


def in_sequence(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "torch.nn.Sequential", "_args_": [*layers]}


NETS: list[tuple[dict[str, Any], str]] = [
    ({"_target_": "torch.nn.Linear", "in_features": 20000, "out_features": 20000}, "tensors of at most .* found .2000"),
    (
        {"_target_": "torch.nn.Linear", "in_features": 9000, "out_features": 9000},
        "expected a config and fitting weights",
    ),
    ({"_target_": "torch.nn.BatchNorm2d", "num_features": 10**7}, "expected output of shape"),
    ({"_target_": "torch.nn.LSTM", "_args_": [9, 9, 10**7]}, "expected a name for the number 9, found none"),
    ({"_target_": "torch.nn.Upsample", "scale_factor": 10000}, "tensors of at most 268,435,456 numbers"),
    (
        in_sequence(*[{"_target_": "torch.nn.Upsample", "scale_factor": 200}, *[{"_target_": "torch.nn.GELU"}] * 999]),
        "8,589,934,592 numbers",
    ),
    ({"_target_": "torch.nn.ZeroPad2d", "padding": 10**6}, "tensors of at most 268,435,456 numbers"),
    (
        {"_target_": "torch.nn.TransformerEncoder", "encoder_layer": layer(), "num_layers": 10**9},
        "num_layers: expected a number from 1 to 100, found 1000000000",
    ),
    (
        {"_target_": "torch.nn.TransformerEncoder", "_args_": [layer(), 10**6]},
        "num_layers: expected a number from 1 to 100",
    ),
    (nested(4), "expected at most 10,000 layers, found more"),
    (
        {"_target_": "torch.nn.Transformer", "d_model": 4096, "num_encoder_layers": 99},
        "at most 100,000 steps and 8,589,934,592 numbers",
    ),
    ({"_target_": "torch.nn.Dropout", "p": float("nan")}, "p: expected a number from .* found nan"),
    ({"_target_": "torchvision.models.regnet_y_128gf"}, "expected a config and fitting weights"),
    ({"blocks": [10**9, 1, 1]}, r"blocks\[0\]: expected a number from 0 to 100, found 1000000000"),
    ({"widths": [2048, 2048, 2048]}, "size mismatch of weights net.fine.0.0.weight: expected shape .2048, 16, 3, 3."),
    ({"widths": [60000, 60000, 60000]}, "tensors of at most 268,435,456 numbers"),
]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return content(trained("model=compact"))


def refused(path: Path, message: str, change: dict[str, Any], content: dict[str, Any]) -> None:
    torch.save(content | change, path)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError, match=message) as caught:
        load_net(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(("net", "message"), NETS)
def test_a_net_takes_no_more_than_its_file_has(
    whole: dict[str, Any], tmp_path: Path, net: dict[str, Any], message: str
) -> None:
    config = whole["config"]
    own = net if "_target_" in net else config["model"]["net"] | net
    config = config | {"model": config["model"] | {"net": own}}
    refused(tmp_path / "net.ckpt", message, {"config": config}, whole)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("crop", {"size": 60000}, "crop.size: expected a number from 1 to 4096, found 60000"),
        ("plan", {"size": 60000}, "size: expected a number from 1 to 4096, found 60000"),
        ("plan", {"scale": 1e9}, "scale: expected a number from 0.01 to 100, found 1000000000.0"),
        ("net", {"size": 2**20}, "size: expected a number from 1 to 4096, found 1048576"),
        ("net", {"keypoints": 10**7}, "keypoints: expected a number from 1 to 10000, found 10000000"),
        ("config", {"channels": 10**9}, "channels: expected a number from 1 to 3, found 1000000000"),
        ("codec", {"unit": "16"}, "unit: expected a number, found '16'"),
        ("codec", {"unit": 1e-320}, "unit: expected a number from 0.001 to 100000, found 1e-320"),
        ("net", {"unit": 1e-320}, "unit: expected a number from 0.001 to 100000, found 1e-320"),
        ("codec", {"center": float("inf")}, "center: expected a number from -100000 to 100000, found inf"),
        (
            "codec",
            {"_target_": "fkd.codecs.Heatmaps", "size": 64, "sigma": 1e9, "decode": "dark", "stride": 1},
            "sigma",
        ),
        (
            "codec",
            {"_target_": "fkd.codecs.SimCC", "size": 64, "split": 10**9, "sigma": 1, "decode": "argmax"},
            "split",
        ),
    ],
)
def test_values_of_crops_codecs_and_nets_have_a_type_and_a_range(
    whole: dict[str, Any], tmp_path: Path, part: str, change: dict[str, Any], message: str
) -> None:
    config = plain(compose("model=compact", "detector=haar", "crop.size=64"))
    parts = {"config": config, "crop": config["crop"], "plan": config["crop"]["plan"]}
    parts |= {name: config["model"][name] for name in ("net", "codec")}
    if "_target_" in change:
        parts[part].clear()
    parts[part].update(change)
    refused(tmp_path / "net.ckpt", message, {"config": config}, whole)


def test_weights_that_repeat_a_few_numbers_are_refused(whole: dict[str, Any], tmp_path: Path) -> None:
    one = torch.zeros(())
    weights = {name: one.expand(tensor.shape) for name, tensor in whole["state_dict"].items()}
    message = "expected each number in the file, found views that repeat them"
    refused(tmp_path / "net.ckpt", message, {"state_dict": weights}, whole)
    assert (tmp_path / "net.ckpt").stat().st_size < 100_000


@pytest.mark.parametrize("part_name", ["data.pkl", "DATA.PKL"])  # torch finds parts without regard to case
@pytest.mark.parametrize("name", ["builtins\nbytearray", "_codecs\nencode", "torch\nTensor", "os\nsystem"])
def test_a_pickle_that_makes_much_of_a_few_bytes_is_refused(
    whole: dict[str, Any], tmp_path: Path, name: str, part_name: str
) -> None:
    torch.save(whole, tmp_path / "whole.ckpt")
    call = b"\x80\x02c" + name.encode() + b"\nJ" + (10**9).to_bytes(4, "little") + b"\x85R."
    with zipfile.ZipFile(tmp_path / "whole.ckpt") as archive, zipfile.ZipFile(tmp_path / "b.ckpt", "w") as bomb:
        for part in archive.infolist():
            content = call if part.filename.endswith("data.pkl") else archive.read(part)
            bomb.writestr(part.filename.replace("data.pkl", part_name), content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=f"expected tensors and plain data, found '{name.split()[0]} "):
        load_net(tmp_path / "b.ckpt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_an_older_pickle_before_a_zip_is_refused(whole: dict[str, Any], tmp_path: Path) -> None:
    """Python finds the zip at the file's end; torch would read the pickle at its beginning."""
    torch.save(whole, tmp_path / "net.ckpt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "net.ckpt", "a") as archive:
        archive.writestr("data.pkl", b"\x80\x02}.")
    with pytest.raises(UserError, match=r"net\.ckpt: expected a checkpoint of fkd, found a truncated file or one of"):
        load_net(tmp_path / "net.ckpt")
