"""Exported nets: the same answers as in torch, one file that says all, run without torch, no trust in the file."""

import csv
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import fkd
from fkd import weights
from fkd.codecs import Coordinates
from fkd.config.build_module import build_module
from fkd.errors import UserError
from fkd.evaluation import visibility_calibration
from fkd.geometry import Window
from fkd.inference import export
from fkd.inference.metadata import Metadata
from fkd.inference.onnx_net import OnnxNet
from fkd.inference.torch_net import load_net
from fkd.models.keypoint_net import KeypointNet
from fkd.schema import IBUG68
from fkd.shape_model import ShapeModel
from fkd.synthetic import face
from fkd.training.module import KeypointModule
from tests.config.test_conf import LOSSES, OPTIONS, compose
from tests.conftest import PROJECT, Outcome

WINDOW = Window(1.35, -0.1)
SIZES = {"compact": 32, "simple": 44, "batchnorm": 46, "naimish": 32, "naimish_bn": 32, "conv5": 64}
SIZES |= {"heatmap": 32, "simcc": 32, "resnet18": 64}  # the other backbones are built alike
SHAPES = ShapeModel.fit(np.stack([face(0, subject, 0, 32)[1] for subject in range(4)]))


def crops(count: int, size: int, channels: int) -> np.ndarray:
    """Synthetic faces, the last one replaced by noise."""
    drawn = np.stack([face(3, subject, 0, size)[0] for subject in range(count)]).transpose(0, 3, 1, 2)[:, :channels]
    drawn[-1] = np.random.default_rng(0).integers(0, 256, drawn.shape[1:])
    return np.ascontiguousarray(drawn)


@cache
def module(name: str, channels: int = 1) -> KeypointModule:
    """An untrained net whose answers differ from crop to crop as those of a trained one do."""
    torch.manual_seed(0)
    init = ["model.net.init=torch"] if name == "simple" else []  # others answer far beside the crop
    made = build_module(
        compose(f"model={name}", *LOSSES.get(name, []), *init, f"crop.size={SIZES[name]}", f"channels={channels}")
    )
    made.train()
    with torch.no_grad():
        for _ in range(12):  # statistics of BatchNorm
            made(torch.from_numpy(crops(8, SIZES[name], channels)))
        if name == "compact":
            made.model.net.maps.weight *= 20
            made.model.net.coordinates.correction.weight.normal_(0, 0.02)
    return made.eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The ONNX file of a model, in a folder of its own."""

    @cache
    def write(name: str) -> Path:
        path = tmp_path_factory.mktemp(name) / "net.onnx"
        model, detector = module(name).model, module(name).config["detector"]
        export.to_onnx(model, metadata(name, model, detector), path)
        return path

    return write


class Own(nn.Module):
    """A user's net: another output shape, Python's len, and names that mean something elsewhere."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.location = nn.Linear(3 * 64, 2 * points)

    def forward(self, image: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(image, 8)
        keypoints: Tensor = self.location(pooled.reshape(len(image), -1)).reshape(len(image), -1, 2)
        return keypoints


DETECTOR = {"_target_": "fkd.detect.Haar", "location": "é\n"}


def metadata(name: str, model: KeypointNet, detector: Mapping[str, Any] = DETECTOR) -> Metadata:
    """With strings that JSON must escape."""
    return Metadata(name, IBUG68, model.size, model.channels, WINDOW, SHAPES, detector)


def own(points: int = 68) -> KeypointNet:
    return KeypointNet(Own(points), Coordinates(10, 5), IBUG68, 20, 3).eval()


@pytest.mark.parametrize("name", [option for group, option in OPTIONS if group == "model" and option in SIZES])
def test_every_model_answers_as_in_torch(name: str, exported: Callable[[str], Path]) -> None:
    net, shown = OnnxNet(exported(name)), crops(5, SIZES[name], 1)
    with torch.inference_mode():
        expected = module(name)(torch.from_numpy(shown)).numpy()
    spread = expected.std(axis=0).mean()  # over the crops, which are told apart
    assert spread > 1e-3
    for count in (5, 1, 2):
        found = net(shown[:count])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[:count], atol=0.01 * spread)
    assert net(shown[:0]).shape == (0, 68, 2)
    assert [entry.name for entry in exported(name).parent.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_users_own_net_answers_as_in_torch_from_one_quiet_file(
    suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown, path = crops(5, 20, 3), tmp_path / f"net{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (export.to_onnx if suffix == ".onnx" else export.to_torch_export)(
            own_net := own(), metadata("own", own_net), path
        )
        run = export.reader(path)
    with torch.inference_mode():
        expected = own_net(torch.from_numpy(shown)).numpy()
    for count in (5, 1, 2):
        np.testing.assert_allclose(run(shown[:count]), expected[:count], atol=1e-4)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert capfd.readouterr() == ("", "")
    for place in (str(PROJECT), "site-packages", "test_export.py"):
        assert place.encode() not in path.read_bytes()


def test_the_same_net_gives_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = own()
    for name in ("one.onnx", "two.onnx"):
        export.to_onnx(net, metadata("own", net), tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_a_file_says_what_prediction_needs(exported: Callable[[str], Path]) -> None:
    found = OnnxNet(exported("compact")).metadata
    assert (found.schema, found.size, found.channels, found.window) == (IBUG68, 32, 1, WINDOW)
    assert found.detector == module("compact").config["detector"]
    assert found.shapes is not None
    shifted = crops(1, 68, 1)[0, 0, :, :2].astype(np.float32)
    assert found.shapes.distance(shifted) == pytest.approx(SHAPES.distance(shifted))
    shapeless = replace(metadata("own", own()), shapes=None)
    assert Metadata.from_json(shapeless.to_json()) == shapeless


def test_a_net_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    class Moody(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.new_zeros(len(image), 136) if image.mean() > 0.5 else image.new_ones(len(image), 136)

    net = KeypointNet(Moody(), Coordinates(10, 5), IBUG68, 20, 3)
    with pytest.raises(UserError, match=r"model=own: torch\.export cannot trace it"):
        export.to_onnx(net, metadata("own", net), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_prediction_needs_nothing_of_torch(exported: Callable[[str], Path], tmp_path: Path) -> None:
    shown = crops(2, 32, 1)
    np.save(tmp_path / "crops.npy", shown)
    program = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        blocked = "torch pytorch_lightning hydra omegaconf matplotlib albumentations rich onnx onnxscript".split()
        if name.split(".")[0] in blocked:
            raise ImportError(f"blocked: {{name}}")

sys.meta_path.insert(0, Block())
import numpy as np
from fkd.inference.onnx_net import OnnxNet
np.save("found.npy", OnnxNet({str(exported("compact"))!r})(np.load("crops.npy")))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    with torch.inference_mode():
        expected = module("compact")(torch.from_numpy(shown)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-3)


def test_crops_that_do_not_fit_are_the_programs_mistake(exported: Callable[[str], Path]) -> None:
    net = OnnxNet(exported("compact"))
    for wrong in (np.zeros((2, 1, 32, 32), np.float32), np.zeros((1, 32, 32), np.uint8), np.zeros((1, 1, 9, 32), "u1")):
        with pytest.raises(ValueError, match=re.escape(f"found {wrong.dtype} {wrong.shape}")):
            net(wrong)


@pytest.fixture(scope="module", params=["compact", "simple"])
def int8(
    request: pytest.FixtureRequest, exported: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """A model, its float file, and the one in 8 bits."""
    path = tmp_path_factory.mktemp("int8") / "small.onnx"
    export.to_int8(exported(request.param), path, crops(30, SIZES[request.param], 1))
    return request.param, exported(request.param), path


def test_answers_in_8_bits_follow_those_in_float(int8: tuple[str, Path, Path]) -> None:
    """An untrained net proves wiring and small rounding only; what it costs in use, scripts/export.py shows."""
    name, source, path = int8
    shown = crops(20, SIZES[name], 1)
    expected, found = OnnxNet(source)(shown), OnnxNet(path)(shown)
    assert 0 < np.abs(found - expected).mean() < 0.01 * SIZES[name]
    about_mean = [(points - expected.mean(axis=0)).ravel() for points in (expected, found)]
    assert np.corrcoef(about_mean)[0, 1] > 0.9
    assert path.stat().st_size < 0.45 * source.stat().st_size
    assert OnnxNet(path).metadata.to_json() == OnnxNet(source).metadata.to_json()
    assert [entry.name for entry in path.parent.iterdir()] == ["small.onnx"]


def test_the_first_layer_and_the_coordinates_stay_float(int8: tuple[str, Path, Path]) -> None:
    nodes = onnx.load(int8[2]).graph.node
    rounded = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    weighted = [node for node in nodes if node.op_type in ("Conv", "Gemm")]
    assert [node.input[1] in rounded for node in weighted] == [False, *[True] * (len(weighted) - 2), False]
    last_convolution = max(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    later = [node for node in nodes[last_convolution + 1 :] if node.op_type in ("Add", "Mul")]
    assert later  # of the soft-argmax and of the codec
    assert not any(rounded & set(node.input) for node in later)


def described(source: Path, path: Path, change: Callable[[dict[str, Any]], object] | str | None) -> Path:
    """A copy of an exported file with other metadata; None takes it away."""
    model = onnx.load(source)
    content = json.loads(model.metadata_props[0].value)
    del model.metadata_props[:]
    if callable(change):
        change(content)
    if change is not None:
        model.metadata_props.add(key="fkd", value=change if isinstance(change, str) else json.dumps(content))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, "another program"),
        ("", "Expecting value"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "format"),
        ("7" * 5000, "digits"),
        ('{"format": 1}', "format 2, found 1"),
        (lambda c: c.update(schema="wflw98"), "schema=wflw98: expected ibug68 or a schema"),
        (lambda c: c.update(schema=["ibug68"]), "schema: expected str"),
        (lambda c: c.update(model=None), "model: expected str"),
        (lambda c: c.update(size=48), "INVALID_ARGUMENT"),  # not what the graph takes
        (lambda c: c.update(size="32"), "size: expected int"),
        (lambda c: c.update(size=10**9), "size: expected 1 to 4096"),
        (lambda c: c.update(channels=True), "channels: expected int"),
        (lambda c: c.update(channels=0), "channels: expected 1 (grey) or 3 (RGB), found"),
        (lambda c: c.pop("window"), "window: expected dict, found None"),
        (lambda c: c["window"].update(scale=float("nan")), "finite numbers, found NaN"),
        (lambda c: c["window"].update(scale=-1), "scale: expected 0.01 to 100"),
        (lambda c: c["window"].update(y=10**400), "y: expected -100 to 100"),
        (lambda c: c["shapes"].update(mean=[[0.0, 1.0]] * 5), "shapes: expected mean, axes"),
        (lambda c: c["shapes"].update(mean=[[1.0], [1.0, 2.0]]), "shapes: expected mean, axes"),
        (lambda c: c["shapes"].update(unit=10**400), "shapes: expected mean, axes"),
        (lambda c: c["shapes"].pop("axes"), "shapes: expected mean, axes"),
        (lambda c: c.update(shapes=[1]), "shapes: expected"),
        (lambda c: c.update(detector="fkd.detect.Haar"), "detector: expected dict"),
    ],
)
def test_untrusted_metadata_is_refused_in_one_line(
    change: Any, words: str, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    path = described(exported("compact"), tmp_path / "strange.onnx", change)
    with pytest.raises(UserError) as caught:
        OnnxNet(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shapes_of_another_number_of_points_are_refused(exported: Callable[[str], Path], tmp_path: Path) -> None:
    fewer = ShapeModel.fit(np.random.default_rng(0).normal(size=(9, 5, 2)).astype(np.float32)).to_dict()
    path = described(exported("compact"), tmp_path / "fewer.onnx", lambda c: c.update(shapes=fewer))
    with pytest.raises(UserError, match="shapes: expected 68 points, found 5"):
        OnnxNet(path)


def test_a_graph_that_answers_otherwise_than_it_says_is_refused(tmp_path: Path) -> None:
    export.to_onnx(own(5), metadata("own", own(5)), tmp_path / "five.onnx")
    with pytest.raises(UserError, match=re.escape("expected float32 (2, 68, 2), found float32 (2, 5, 2)")):
        OnnxNet(tmp_path / "five.onnx")


def test_weights_outside_of_the_file_are_not_read(exported: Callable[[str], Path], tmp_path: Path) -> None:
    model = onnx.load(exported("compact"))
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size > 1000
    with pytest.raises(UserError, match="found references to other files"):
        OnnxNet(tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [b"", b"not a net", os.urandom(3000), None, "cut", "strange"])
def test_files_of_another_kind_are_refused(
    content: bytes | str | None, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    if content is None:
        path.mkdir()
    elif content == "cut":
        path.write_bytes(exported("compact").read_bytes()[:-5000])
    elif content == "strange":
        graph = onnx.parser.parse_graph("other (float[N] a) => (float[N] b) { b = Identity(a) }")
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)
    else:
        path.write_bytes(content)  # type: ignore[arg-type]
    for place in (path, tmp_path / "missing.onnx"):
        with pytest.raises(UserError) as caught:
            OnnxNet(place)
        assert str(place) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_missing_runtime_says_what_to_install(
    exported: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported("compact")  # which needs it, unless another test has made the file
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="need ONNX Runtime, which is not installed; pip install onnxruntime"):
        OnnxNet(path)


class TestScript:
    """scripts/export.py on a few synthetic faces."""

    @pytest.fixture
    def arguments(self, faces_root: Path, tmp_path: Path) -> tuple[str, ...]:
        made = module("compact")
        content = {"state_dict": made.state_dict(), "scores": {}, "subjects": [], "shapes": SHAPES.to_dict()}
        torch.save({"config": made.config, **content}, tmp_path / "best.ckpt")
        place = (f"data.root={faces_root}", "data.cache_dir=cache", "data.val_share=0.3")
        return ("ckpt=best.ckpt", "data=udacity", *place)

    def test_int8_with_what_it_costs(self, script: Callable[..., Outcome], arguments: tuple[str, ...]) -> None:
        outcome = script("export", *arguments, "output=out/net.onnx", "int8=true")
        assert outcome.status == 0, outcome.err
        assert not re.search("error|warning", outcome.err, re.IGNORECASE)
        assert [path.name for path in Path("out").iterdir()] == ["net.onnx"]
        rows = {line.split("│")[1].strip(): line.split("│")[2:5] for line in outcome.out.splitlines() if "│" in line}
        checkpoint, float32, int8 = (float(cell) for cell in rows["mean difference, crop pixels"])
        assert checkpoint == 0
        assert float32 < 1e-3 < int8
        net, shown = OnnxNet("out/net.onnx"), crops(8, 32, 1)
        assert net.metadata.window.scale == 1.35  # of conf/crop/face.yaml
        with torch.inference_mode():
            apart = np.linalg.norm(net(shown) - module("compact")(torch.from_numpy(shown)).numpy(), axis=-1).mean()
        assert int8 == pytest.approx(apart, rel=1)
        errors = next(cells for label, cells in rows.items() if label.startswith("NME"))
        assert float(errors[0]) == pytest.approx(float(errors[1]), abs=2e-3) != float(errors[2])

    @pytest.mark.parametrize("suffix", ["onnx", "safetensors"])
    def test_half_the_size_with_what_it_costs(
        self, suffix: str, script: Callable[..., Outcome], arguments: tuple[str, ...]
    ) -> None:
        sizes, shown = [], crops(8, 32, 1)
        for half in ("false", "true"):
            outcome = script("export", *arguments, f"output=net_{half}.{suffix}", f"half={half}", "crops=3")
            assert outcome.status == 0, outcome.err
            sizes.append(Path(f"net_{half}.{suffix}").stat().st_size)
        assert 0.45 < sizes[1] / sizes[0] < 0.6
        assert "half" in outcome.out
        single, half_net = (fkd.load(f"net_{half}.{suffix}").net for half in ("false", "true"))
        assert half_net.metadata.to_json() == single.metadata.to_json()
        apart = np.abs(half_net(shown) - single(shown))
        assert 0 < apart.max() < 0.1

    @pytest.mark.parametrize("suffix", ["onnx", "safetensors"])
    def test_expected_errors_are_calibrated_where_the_checkpoint_has_none(
        self, suffix: str, script: Callable[..., Outcome], arguments: tuple[str, ...]
    ) -> None:
        content = torch.load("best.ckpt", weights_only=True)
        content["config"]["data"]["name"] = "udacity"
        torch.save(content, "best.ckpt")
        outcome = script("export", *arguments, f"output=net.{suffix}")
        assert outcome.status == 0, outcome.err
        assert "expected errors: calibrated on" in outcome.out
        assert fkd.load(f"net.{suffix}", device="cpu").has_errors
        outcome = script("evaluate", f"ckpt=net.{suffix}", *arguments[1:], "subset=val", "boxes=jitter", "device=cpu")
        assert outcome.status == 0, outcome.err
        assert "the net's own: rank correlation" in outcome.out
        own_errors = json.loads(next(Path("outputs").rglob("metrics.json")).read_text())["expected_error"]
        means = np.array(own_errors["tenths"]).mean(axis=0)
        assert means[0] == pytest.approx(means[1], rel=0.05)  # on the same faces
        assert next(Path("outputs").rglob("expected_error.png")).stat().st_size > 5000

    @pytest.mark.parametrize("suffix", ["onnx", "safetensors"])
    def test_visible_points_are_told_by_the_file(
        self,
        suffix: str,
        script: Callable[..., Outcome],
        arguments: tuple[str, ...],
        faces_root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(
            visibility_calibration, "calibrate", partial(visibility_calibration.calibrate, faces=60, tested=20)
        )
        outcome = script("export", *arguments, f"output=net.{suffix}", "visibility=true", "crops=3")
        assert outcome.status == 0, outcome.err
        assert "area under the ROC curve 0." in outcome.out
        photo = next(path for path in faces_root.rglob("*.*g") if path.suffix in (".png", ".jpg"))
        found = ("output=found", "csv=true", "detector=whole_image", "device=cpu", "detector.limit=null")
        outcome = script("predict", str(photo), f"ckpt=net.{suffix}", *found)
        assert outcome.status == 0, outcome.err
        ((face,),) = (entry["faces"] for entry in json.loads(Path("found/predictions.json").read_text()))
        assert len(face["visible"]) == 68
        assert all(0 <= probability <= 1 for probability in face["visible"])
        (row,) = csv.DictReader(Path("found/predictions.csv").read_text().splitlines())
        assert [float(row[f"v{point}"]) for point in range(68)] == face["visible"]

    def test_torch_export(self, script: Callable[..., Outcome], arguments: tuple[str, ...]) -> None:
        outcome = script("export", *arguments, "output=net.pt2", "crops=3")
        assert outcome.status == 0, outcome.err
        assert not re.search("error|warning", outcome.err, re.IGNORECASE)
        shown = torch.from_numpy(crops(3, 32, 1))
        with torch.inference_mode():
            found = torch.export.load("net.pt2").module()(shown)
            np.testing.assert_allclose(found, module("compact")(shown), atol=1e-4)
        assert "NME" not in outcome.out

    @pytest.mark.parametrize("suffix", ["onnx", "safetensors"])
    def test_without_a_checkpoint_it_is_the_net_that_comes_with_fkd(
        self, suffix: str, script: Callable[..., Outcome], arguments: tuple[str, ...]
    ) -> None:
        outcome = script("export", *arguments[1:], f"output=net.{suffix}", "crops=3")
        assert outcome.status == 0, outcome.err
        shown = crops(3, 96, 1)
        expected = load_net(weights.checkpoint(None))(shown)
        np.testing.assert_allclose(fkd.load(f"net.{suffix}").net(shown), expected, atol=1e-3)

    def test_a_file_that_differs_too_much_is_not_left(
        self, script: Callable[..., Outcome], arguments: tuple[str, ...]
    ) -> None:
        Path("net.onnx").write_bytes(b"before")
        there = set(Path().iterdir())
        outcome = script("export", *arguments, "output=net.onnx", "tolerance=0", "crops=2")
        assert outcome.status == 2
        assert "within tolerance=0.0 crop pixels, found" in outcome.err
        assert Path("net.onnx").read_bytes() == b"before"
        assert set(Path().iterdir()) - there <= {Path("cache")}
        assert script("export", *arguments, "output=new/below/net.onnx", "tolerance=0", "crops=2").status == 2
        assert not Path("new").exists()

    @pytest.mark.parametrize(
        ("output", "more", "words"),
        [
            ("net.tflite", (), "ends with .onnx, .pt2, .safetensors, found '.tflite'"),
            ("net.pt2", ("int8=true",), "ends with .onnx with int8=true"),
            ("net.pt2", ("half=true",), "ends with .onnx or .safetensors with half=true"),
            ("net.onnx", ("half=true", "int8=true"), "half: expected one of half=true and int8=true, found both"),
            ("folder.onnx", (), "found a folder"),
            ("file/net.onnx", (), "file: expected a folder that can be written to"),
            ("net.onnx", ("crops=0",), "crops: expected a whole number from 2 on"),
            ("net.onnx", ("boxes=nonsense",), "boxes=nonsense"),
        ],
    )
    def test_wrong_input_is_said_before_the_work(
        self, output: str, more: tuple[str, ...], words: str, script: Callable[..., Outcome], tmp_path: Path
    ) -> None:
        (tmp_path / "folder.onnx").mkdir()
        (tmp_path / "file").touch()
        outcome = script("export", "ckpt=missing.ckpt", f"output={output}", *more)
        assert outcome.status == 2
        assert words in outcome.err
        assert outcome.err.count("\n") == 1
        assert not (tmp_path / "net.onnx").exists()

    def test_a_missing_package_is_named(self, script: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        outcome = script("export", "ckpt=missing.ckpt", "output=net.onnx")
        assert outcome.status == 2
        assert re.search(r'package onnxscript, found none; pip install "fkd\[export\]"', outcome.err)

    def test_a_missing_checkpoint_is_named(self, script: Callable[..., Outcome]) -> None:
        outcome = script("export", "ckpt=missing.ckpt", "output=net.onnx")
        assert outcome.status == 2
        assert "missing.ckpt: expected a checkpoint" in outcome.err
