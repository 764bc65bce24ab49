"""Expected errors of points: the spread in exported files, damaged calibrations, and the faces of a predictor."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import fkd
from fkd import weights
from fkd.errors import UserError
from fkd.inference import export
from fkd.inference.onnx_net import OnnxNet
from fkd.inference.opencv_net import OpenCVNet
from fkd.inference.torch_net import TorchNet, load_net
from fkd.models.error_model import ErrorModel
from fkd.schema import IBUG68
from tests.inference.test_export import SHAPES, SIZES, crops, described, exported, metadata, module, own  # noqa: F401
from tests.inference.test_predictor import SIZE, Brightest, Squares, predictor, spot

ERRORS = ErrorModel(np.linspace(-3, -1, 68), 0.8)


def net_of(name: str) -> TorchNet:
    made = module(name)
    return TorchNet(made.model, replace(metadata(name, made.model, made.config["detector"]), error_model=ERRORS))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact net as ONNX, with its expected errors."""
    path, net = tmp_path_factory.mktemp("net") / "net.onnx", net_of("compact")
    export.to_onnx(net.model, net.metadata, path)
    return path


@pytest.mark.parametrize("name", ["compact", "heatmap", "simcc"])
def test_an_exported_net_has_the_spread_of_torch(
    name: str,
    exported: Callable[[str], Path],  # noqa: F811
) -> None:
    shown, path = crops(5, SIZES[name], 1), exported(name)
    keypoints, expected = net_of(name).with_spread(shown)
    assert expected is not None
    assert expected.std() > 1e-3
    for net in (OnnxNet(path), OpenCVNet(path)) if name == "compact" else (OnnxNet(path),):
        for count in (5, 1):
            found, spread = net.with_spread(shown[:count])
            assert spread is not None
            assert spread.dtype == np.float32
            np.testing.assert_allclose(spread, expected[:count], rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(found, keypoints[:count], atol=1e-2)
            np.testing.assert_array_equal(net(shown[:count]), found)
    none = OnnxNet(path).with_spread(shown[:0])
    assert none[1] is not None
    assert (none[0].shape, none[1].shape) == ((0, 68, 2), (0, 68))


def test_8_bits_keep_the_spread(file: Path, tmp_path: Path) -> None:
    shown = crops(30, SIZES["compact"], 1)
    export.to_int8(file, tmp_path / "small.onnx", shown)
    (_, expected), (_, found) = (OnnxNet(path).with_spread(shown) for path in (file, tmp_path / "small.onnx"))
    assert expected is not None
    assert found is not None
    assert 0 < np.abs(found / expected - 1).mean() < 0.05
    assert OnnxNet(tmp_path / "small.onnx").metadata.error_model is not None


def test_a_net_without_maps_has_no_spread(exported: Callable[[str], Path]) -> None:  # noqa: F811
    assert [put.name for put in onnx.load(exported("simple")).graph.output] == ["keypoints"]
    net = OnnxNet(exported("simple"))
    assert not net.has_spread
    assert net.with_spread(crops(2, SIZES["simple"], 1))[1] is None


@pytest.mark.parametrize("kind", [OnnxNet, OpenCVNet])
def test_files_of_older_versions_have_no_expected_errors(
    file: Path, tmp_path: Path, kind: type[OnnxNet] | type[OpenCVNet]
) -> None:
    older = described(file, tmp_path / "older.onnx", lambda content: content.pop("error_model"))
    model = onnx.load(older)
    del model.graph.output[1]
    onnx.save(model, older)
    net, shown = kind(older), crops(2, SIZES["compact"], 1)
    found, spread = net.with_spread(shown)
    assert not net.has_spread
    assert spread is None
    np.testing.assert_allclose(found, OnnxNet(file)(shown), atol=1e-3)


def test_metadata_without_them_are_those_of_an_older_file(file: Path, tmp_path: Path) -> None:
    older = described(file, tmp_path / "older.onnx", lambda content: content.pop("error_model"))
    net = fkd.load(older)
    assert net.net.metadata.error_model is None
    assert not net.has_errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(error_model=[1]), "error_model: expected offsets and a slope, found list"),
        (lambda c: c["error_model"].update(offsets=[0.0] * 5), "error_model: expected 68 points, found 5"),
        (lambda c: c["error_model"].update(offsets="a"), "error_model: expected offsets and a slope that fit"),
        (lambda c: c["error_model"].update(slope=7), "slope: expected a number from 0 to 4, found 7"),
    ],
)
def test_damaged_expected_errors_are_refused(
    change: Callable[[dict[str, Any]], object], words: str, file: Path, tmp_path: Path
) -> None:
    path = described(file, tmp_path / "net.onnx", change)
    with pytest.raises(UserError) as caught:
        OnnxNet(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_expected_errors_of_a_spread_need_a_file_that_gives_it(file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    del model.graph.output[1]
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UserError, match="expected a slope of 0 for a net that gives no spread"):
        OnnxNet(tmp_path / "net.onnx")


def test_a_checkpoint_keeps_them(tmp_path: Path) -> None:
    made = module("compact")
    content: dict[str, Any] = {"config": made.config, "state_dict": made.state_dict(), "scores": {}, "subjects": []}
    content |= {"shapes": None, "error_model": ERRORS.to_dict()}
    torch.save(content, tmp_path / "net.ckpt")
    net = load_net(tmp_path / "net.ckpt")
    assert net.metadata.error_model is not None
    np.testing.assert_array_equal(net.metadata.error_model.offsets, ERRORS.offsets)
    torch.save(content | {"error_model": {"offsets": [0.0], "slope": 1.0}}, tmp_path / "net.ckpt")
    with pytest.raises(UserError, match="error_model: expected 68 points, found 1") as caught:
        load_net(tmp_path / "net.ckpt")
    assert "\n" not in str(caught.value)


def test_a_safetensors_file_keeps_them(tmp_path: Path) -> None:
    from fkd.checkpoint import read, write_safetensors

    content = read(weights.checkpoint(None), "ckpt") | {"error_model": ERRORS.to_dict()}
    write_safetensors(content, tmp_path / "net.safetensors")
    net = load_net(tmp_path / "net.safetensors")
    assert net.metadata.error_model is not None
    assert net.metadata.error_model.slope == ERRORS.slope


class Unsure(Brightest):
    """All points on the brightest pixel, but the normaliser's, 10 pixels apart; the spread grows with the point's
    number, on the left half of a crop by another law than on the right.
    """

    metadata = replace(Brightest.metadata, error_model=ERRORS)
    has_spread = True

    def with_spread(self, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = super().__call__(shown)
        right = points[:, 0, 0] > SIZE / 2
        points[:, 45] = points[:, 36] + np.float32([6, 8])
        spread = np.arange(1, 69, dtype=np.float32)[None] * np.where(right, 0.1, 0.02)[:, None].astype(np.float32)
        return points, spread


def test_a_face_has_the_expected_error_of_each_point() -> None:
    detector = Squares((60, 40, 100, 80), (70, 56, 84, 70))
    first, second = predictor(Unsure(), detector)(spot(85, 63))
    law = np.exp(ERRORS.offsets) * (np.arange(1, 69) * 0.1 / np.sqrt(10 * SIZE)) ** ERRORS.slope
    assert first.expected_error is not None
    assert first.expected_error.dtype == np.float32
    np.testing.assert_allclose(first.expected_error, law, rtol=1e-4)
    np.testing.assert_allclose(second.expected_error, law, rtol=1e-4)
    assert first.to_dict()["expected_error"] == pytest.approx(law, abs=1e-4)


def test_with_the_mirror_image_the_spread_is_the_mean_of_both() -> None:
    (found,) = predictor(Unsure(), Squares((60, 40, 100, 80)), flip=True)(spot(85, 63))
    own_spread = np.arange(1, 69) * 0.1
    mirrored = np.array([(point + 1) * 0.02 for point in IBUG68.flip])
    eyes = float(IBUG68.interocular(found.keypoints)) * SIZE / 80  # crop pixels: the window is twice the box
    law = np.exp(ERRORS.offsets) * ((own_spread + mirrored) / 2 / np.sqrt(eyes * SIZE)) ** ERRORS.slope
    np.testing.assert_allclose(found.expected_error, law, rtol=1e-3)


def test_a_net_without_a_spread_gives_constants_and_is_asked_as_before() -> None:
    class Plain(Brightest):
        metadata = replace(Brightest.metadata, error_model=ErrorModel(ERRORS.offsets, 0.0))

    net = Plain()
    (found,) = predictor(net, Squares((60, 40, 100, 80)))(spot(77, 63))
    np.testing.assert_allclose(found.expected_error, np.exp(ERRORS.offsets), rtol=1e-5)
    assert net.calls == 1
    (older,) = predictor(Brightest(), Squares((60, 40, 100, 80)))(spot(77, 63))
    assert older.expected_error is None


def test_points_on_one_place_are_no_trouble() -> None:
    class Coinciding(Unsure):
        def with_spread(self, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(shown), 68, 2), np.float32), np.zeros((len(shown), 68), np.float32)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = predictor(Coinciding(), Squares((60, 40, 100, 80)))(spot(77, 63))
    assert np.isfinite(found.expected_error).all()
