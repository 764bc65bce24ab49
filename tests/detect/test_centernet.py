"""The face detector that comes with fkd, on synthetic faces and on what is no photo of a face."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import yaml

from fkd.detect import CenterNet, build, iou
from fkd.detect import detector_net as nets
from fkd.detect.centernet import decode
from fkd.errors import UserError
from fkd.geometry import Correction, eye_rolls, square_around
from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.types import Image, Points
from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def detector() -> CenterNet:
    content: dict[str, Any] = yaml.safe_load((PROJECT / "conf/detector/fkd.yaml").read_text())
    made = build(content)
    assert isinstance(made, CenterNet)
    return made


def turned(image: Image, points: Points, degrees: float) -> tuple[Image, Points]:
    """An image and points turned clockwise about the middle of the image."""
    middle = (np.array(image.shape[1::-1]) - 1) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.concatenate([turn, (middle - turn @ middle)[:, None]], axis=1)
    made = cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return made, (points - middle) @ turn.T + middle  # type: ignore[return-value]


def is_found(points: Points, squares: Points) -> bool:
    return len(squares) > 0 and float(iou(square_around(points), squares).max()) > 0.4


@pytest.mark.parametrize("degrees", [0, 30, -45, 90, 180])
def test_faces_are_found_at_any_angle_with_their_roll(detector: CenterNet, degrees: float) -> None:
    errors, found = [], 0
    for subject in range(12):
        image, points = turned(*face(1, subject, 0, 200), degrees)
        roll = eye_rolls(points, IBUG68)
        squares, _, rolls = detector(image)
        assert rolls is not None
        overlaps = iou(square_around(points.astype(np.float32), roll), squares) if len(squares) else np.zeros(1)
        if overlaps.max() > 0.5:
            found += 1
            apart = math.radians(rolls[overlaps.argmax()] - float(roll))
            errors.append(abs(math.degrees(math.atan2(math.sin(apart), math.cos(apart)))))
    assert found >= 10
    assert np.median(errors) < 12


@pytest.mark.parametrize("edge", ["left", "right", "bottom"])
def test_a_face_that_the_edge_cuts_is_found(detector: CenterNet, edge: str) -> None:
    found = 0
    for subject in range(10):
        image, points = face(1, subject, 0, 200)
        left, _, right, bottom = square_around(points)
        third = (right - left) / 3
        parts = {
            "left": slice(round(left + third), None),
            "right": slice(0, round(right - third)),
            "bottom": slice(None),
        }
        rows = slice(0, round(bottom - third)) if edge == "bottom" else slice(None)
        shift = max(round(left + third), 0) if edge == "left" else 0
        found += is_found(points - [shift, 0], detector(np.ascontiguousarray(image[rows, parts[edge]]))[0])
    assert found >= 8


def test_a_face_as_large_as_the_picture_is_found(detector: CenterNet) -> None:
    found = 0
    for subject in range(10):
        image, points = face(1, subject, 0, 1000)
        left, top, right, bottom = square_around(points).round().astype(int).tolist()
        part = np.ascontiguousarray(image[max(top, 0) : bottom, max(left, 0) : right])
        found += is_found(points - [max(left, 0), max(top, 0)], detector(part)[0])
    assert found >= 8


def test_three_hundred_faces_of_one_picture_are_found(detector: CenterNet) -> None:
    canvas, middles = np.zeros((15 * 80, 20 * 80, 3), np.uint8), []
    for i, (row, column) in enumerate(np.ndindex(15, 20)):
        image, points = face(1, i, 0, 96)
        canvas[row * 80 : row * 80 + 80, column * 80 : column * 80 + 80] = cv2.resize(image, (80, 80))
        middles.append((points * 80 / 96 + [column * 80, row * 80]).astype(np.float32))
    squares, scores, _ = detector(canvas)
    assert sum(is_found(points, squares) for points in middles) >= 280
    assert len(squares) <= 310
    assert (np.diff(scores) <= 0).all()


def test_the_least_size_is_that_of_the_square(detector: CenterNet) -> None:
    image, points = face(1, 0, 0, 200)
    small = cv2.resize(image, (50, 50), interpolation=cv2.INTER_AREA)  # its face is about 20 pixels wide
    assert is_found(points / 4, replace(detector, min_size=12)(small)[0])
    assert len(replace(detector, min_size=80)(small).squares) == 0


def test_grey_and_rgb_pixels_give_the_same(detector: CenterNet) -> None:
    grey = cv2.cvtColor(face(1, 0, 0, 300)[0], cv2.COLOR_RGB2GRAY)
    for one, other in zip(detector(grey), detector(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)), strict=True):
        np.testing.assert_allclose(one, other, atol=0.2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (3, 2000), (1, 900_000), (20, 30_000, 3), (30_000, 20)])
@pytest.mark.parametrize("level", [0, 127, 255])
def test_pictures_of_any_size_without_a_face(detector: CenterNet, shape: tuple[int, ...], level: int) -> None:
    image = np.full(shape, level, np.uint8)
    squares, scores, rolls = detector(image)
    assert squares.shape == (0, 4)
    assert len(scores) == 0
    assert rolls is not None
    assert len(detector.for_hiding(image).squares) == 0


def test_textures_have_no_face(detector: CenterNet) -> None:
    rng, false = np.random.default_rng(0), 0
    for i in range(30):
        image = rng.integers(0, 256, (60 + 5 * i, 90), np.uint8)
        false += len(detector(cv2.resize(image, (400, 300), interpolation=cv2.INTER_CUBIC)).squares) > 0
    assert false <= 1


def test_a_scaled_photo_gives_scaled_boxes(detector: CenterNet) -> None:
    image, _ = face(1, 0, 0, 300)
    at = replace(detector, min_size=20)(image)
    large = replace(detector, min_size=60)(cv2.resize(image, (900, 900), interpolation=cv2.INTER_CUBIC))
    np.testing.assert_allclose((large.squares + 0.5) / 3 - 0.5, at.squares, atol=4)


def test_hiding_finds_what_a_call_finds_and_more(detector: CenterNet) -> None:
    image, _ = face(1, 0, 0, 300)
    sure, hidden = detector(image), detector.for_hiding(image)
    assert len(hidden.squares) >= len(sure.squares) == 1
    assert iou(sure.squares[0], hidden.squares).max() > 0.8
    doubtful = replace(detector, score=0.99, doubtful=0.2).for_hiding(image)
    assert len(doubtful.squares) == 0
    assert iou(sure.squares[0], doubtful.doubtful).max() > 0.8


def one_peak(shape: tuple[int, ...], x: float, y: float, side: float, logit: float, roll: float) -> Points:
    """Maps of an image (H, W) with one face."""
    maps = np.zeros((1, 6, shape[0] // 8, shape[1] // 8), np.float32)
    maps[:, 0] = -9
    row, column = round((y - 3.5) / 8), round((x - 3.5) / 8)
    angle = math.radians(roll)
    values = logit, (x - 3.5) / 8 - column, (y - 3.5) / 8 - row, math.log(side / 8), math.cos(angle), math.sin(angle)
    maps[0, :, row, column] = values
    return maps


@pytest.mark.parametrize("roll", [0.0, 90.0, -135.0])
def test_a_second_look_gives_the_square_and_half_of_the_log_odds(detector: CenterNet, roll: float) -> None:
    looked_at: list[Image] = []

    def net(images: Image) -> Points:
        image = images[0, 0]
        if image.shape != (128, 128):
            return one_peak(image.shape, 200.0, 120.0, 40.0, -1.0, roll)
        looked_at.append(image)
        return one_peak(image.shape, 63.5 + 8, 63.5 - 4, 88.0, 3.0, 10.0)  # a tenth to the right, a twentieth up

    made = replace(detector, min_size=16.0, correction=Correction(1.0, 0.0, 0.0))
    made.__dict__["_net"] = net
    image = np.zeros((256, 320), np.uint8)
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    above = np.array([200.0, 120.0]) + 16 * np.array([sin, -cos])  # towards the top of the head
    cv2.circle(image, above.round().astype(int).tolist(), 3, 255, -1)
    (square,), (score,), rolls = made(image)
    assert score == pytest.approx(1 / (1 + math.exp(-1)))
    assert rolls is not None
    assert (rolls[0] - roll - 10) % 360 == pytest.approx(0, abs=1e-3) or (rolls[0] - roll - 10) % 360 > 359.9
    right, up = 40 / 10 * np.array([cos, sin]), 40 / 20 * np.array([sin, -cos])
    centre = np.array([200.0, 120.0]) + right + up
    np.testing.assert_allclose((square[:2] + square[2:]) / 2, centre, atol=0.01)
    assert square[2] - square[0] == pytest.approx(44, abs=0.01)
    (window,) = looked_at
    row, column = (places.mean() for places in np.nonzero(window > 128))
    assert (row, column) == pytest.approx((63.5 - 32, 63.5), abs=2)  # upright, twice as large


def test_faces_beyond_those_that_are_looked_at_again_are_kept(
    detector: CenterNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fkd.detect.centernet._MOST_LOOKS", 1)
    made = replace(detector, min_size=16.0, correction=Correction(1.0, 0.0, 0.0))

    def net(images: Image) -> Points:
        image = images[0, 0]
        if image.shape == (128, 128):
            return one_peak(image.shape, 63.5, 63.5, 80.0, 3.0, 0.0)
        first, second = (one_peak(image.shape, x, 100.0, 40.0, logit, 0.0) for x, logit in ((60.0, 1.0), (200.0, 0.5)))
        return np.where(first[:, :1] > -9, first, second)

    made.__dict__["_net"] = net
    scores = made(np.zeros((256, 320), np.uint8)).scores
    assert scores == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-0.5))], abs=1e-5)


def test_without_a_face_in_the_second_look_there_is_none(detector: CenterNet) -> None:
    made = replace(detector, min_size=16.0)

    def net(images: Image) -> Points:
        image = images[0, 0]
        away = image.shape == (128, 128)  # there another face, too far from the middle
        return one_peak(image.shape, 110.0 if away else 200.0, 100.0, 40.0, 8.0, 0.0)

    made.__dict__["_net"] = net
    assert len(made(np.zeros((256, 320), np.uint8)).squares) == 0


def test_threads_share_a_detector(detector: CenterNet) -> None:
    pictures = [face(1, subject, 0, 120 + 8 * subject)[0] for subject in range(8)]
    alone = [detector(picture).squares for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: detector(picture).squares, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_onnx_runtime_opencv_gives_the_same(detector: CenterNet, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = face(1, 0, 0, 200)
    monkeypatch.setattr(nets, "find_spec", lambda name: None)
    other = replace(detector)(image)
    for one, same in zip(detector(image), other, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-3, atol=0.05)


def foreign(path: Path) -> None:
    """An exported net of keypoints."""
    path.write_bytes((PROJECT / "fkd/weights/synthetic.onnx").read_bytes())


def damaged(path: Path) -> None:
    content = (PROJECT / "fkd/weights/faces.onnx").read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("write", "found"),
    [(foreign, "keypoints"), (damaged, "broken"), (lambda path: path.write_text("no net"), "broken"),
     (Path.mkdir, "a folder"), (lambda path: None, "no such file")],
)  # fmt: skip
def test_another_file_is_one_clear_line(
    detector: CenterNet, write: Callable[[Path], None], found: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.onnx"
    write(path)
    with pytest.raises(UserError, match=r"detector\.model=.*mine\.onnx: expected .*" + found) as error:
        replace(detector, model=str(path))
    assert "\n" not in str(error.value)


def test_a_file_with_a_loop_is_refused_before_a_library_gets_it(detector: CenterNet, tmp_path: Path) -> None:
    model = onnx.load(PROJECT / "fkd/weights/faces.onnx")
    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["endless"], body=body))
    onnx.save(model, tmp_path / "mine.onnx")
    with pytest.raises(UserError, match="found a graph in a node"):
        replace(detector, model=str(tmp_path / "mine.onnx"))


@pytest.mark.parametrize("wrong", [{"score": 2}, {"nms": -1}, {"min_size": 0}, {"doubtful": math.nan}])
def test_values_out_of_range(detector: CenterNet, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"detector.{next(iter(wrong))}"):
        replace(detector, **wrong)


def test_maps_of_any_numbers_give_finite_boxes() -> None:
    maps = np.random.default_rng(0).normal(0, 1e4, (6, 20, 30)).astype(np.float32)
    maps[1:, ::2, ::3], maps[0, 5], maps[2:4, :, 7] = np.nan, np.inf, 3e38
    found = decode(maps, 0.5)
    assert len(found.scores) > 0
    assert all(np.isfinite(column).all() for column in found)
