import csv
import json
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from fkd.detect import BoxFile, Haar, WholeImage, YuNet, build, check, iou, without_files
from fkd.detect.base import PADDING, beyond_edges, coverage
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter, square_around
from fkd.io import images
from fkd.synthetic import face

CONF = Path(__file__).parents[2] / "conf/detector"
AS_IS, JITTER = Correction(1.0, 0.0, 0.0), Jitter(0.1, 0.1, 0.04)
BLANK = np.zeros((100, 100, 3), np.uint8)


def config(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return content


@pytest.fixture(scope="module")
def haar() -> Any:
    return build(config("haar"))


def scene(*places: tuple[int, int, int], width: int = 640, height: int = 360) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic faces of given left, top and size on a grey ground, and the squares around their points."""
    canvas, squares = np.full((height, width, 3), 90, np.uint8), []
    for subject, (left, top, size) in enumerate(places):
        image, points = face(0, subject, 0, 192)
        scale = size / 192
        canvas[top : top + size, left : left + size] = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        squares.append(square_around((points + np.float32(0.5)) * np.float32(scale) - 0.5 + np.float32([left, top])))
    return canvas, np.array(squares)


def test_correction_undoes_a_detectors_known_habit() -> None:
    """A box 1.25 times as wide as the points' square and 0.2 of the square's widths above it."""
    square = np.array([[100, 100, 180, 180]], np.float32)
    box = np.array([[140 - 50, 140 - 16 - 50, 140 + 50, 140 - 16 + 50]], np.float32)
    np.testing.assert_allclose(Correction(1 / 1.25, 0.0, 0.2 / 1.25)(box), square, atol=1e-3)


def test_boxes_become_squares_about_their_centres() -> None:
    boxes = np.array([[10, 20, 30, 60], [0, 0, 8, 4]], np.float32)
    np.testing.assert_array_equal(AS_IS(boxes), [[0, 20, 40, 60], [0, -2, 8, 6]])


def test_iou_and_coverage_count_pixels() -> None:
    """Against areas counted on a raster."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 40, (30, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)
    y, x = np.indices((60, 60))

    def raster(box: np.ndarray) -> np.ndarray:
        return (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])

    shared = np.array([(raster(boxes[0]) & raster(b)).sum() for b in boxes])
    union = np.array([(raster(boxes[0]) | raster(b)).sum() for b in boxes])
    smaller = np.array([min(raster(boxes[0]).sum(), raster(b).sum()) for b in boxes])
    first, rest = boxes[0].astype(np.float32), boxes.astype(np.float32)
    np.testing.assert_allclose(iou(first, rest), shared / union, rtol=1e-5)
    np.testing.assert_allclose(coverage(first, rest), shared / smaller, rtol=1e-5)


@pytest.mark.parametrize("grey", [False, True])
def test_haar_finds_each_face_once_whatever_its_size(haar: Haar, grey: bool) -> None:
    image, squares = scene((20, 40, 120), (180, 10, 320), (520, 200, 100))
    boxes, scores = haar(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if grey else image)
    assert boxes.dtype == scores.dtype == np.float32
    assert sorted(int(iou(box, squares).argmax()) for box in boxes) == [0, 1, 2]
    assert all(iou(box, squares).max() > 0.3 for box in boxes)
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1], rtol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_haar_finds_nothing_below_its_smallest_size() -> None:
    image, squares = scene((40, 40, 120), (280, 10, 320))
    sizes = {**config("haar"), "min_share": 0.4}
    (box,) = build(sizes)(image)[0]
    assert iou(box, squares).argmax() == 1
    assert len(build({**sizes, "min_share": 0.0, "min_size": 1000})(image)[0]) == 0


def test_haars_boxes_move_and_grow_with_the_image(haar: Haar) -> None:
    """A face of another size at another place has its box there, to a share of its width."""
    near, near_square = scene((10, 20, 160), width=200, height=200)
    far, far_square = scene((300, 100, 240))

    def place(image: np.ndarray, square: np.ndarray) -> np.ndarray:
        (box,) = haar(image)[0]
        return (box - square[0, :2].repeat(2).reshape(2, 2).T.ravel()) / (square[0, 2] - square[0, 0])

    np.testing.assert_allclose(place(near, near_square), place(far, far_square), atol=0.12)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3), (37, 36, 3), (200, 200), (2000, 40)])
@pytest.mark.parametrize("kind", ["plain", "noise"])
def test_haar_finds_nothing_where_nothing_is(haar: Haar, shape: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(0)
    image = np.full(shape, 128, np.uint8) if kind == "plain" else rng.integers(0, 256, shape, np.uint8)
    boxes, scores = haar(image)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_haar_leaves_alone_what_is_upside_down_or_tiny(haar: Haar) -> None:
    image, squares = scene((180, 10, 320))
    upside_down = haar(np.ascontiguousarray(image[::-1]))[0]
    assert all(iou(box, squares).max() < 0.9 for box in upside_down)
    assert len(haar(cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA))[0]) == 0


def test_haar_takes_no_longer_for_a_huge_photo_than_for_a_large_one(haar: Haar) -> None:
    """Its smallest face is a share of the image, so the image it works on has a largest size."""
    small = np.random.default_rng(0).integers(0, 256, (216, 288), np.uint8)
    large, huge = (cv2.resize(small, None, fx=zoom, fy=zoom) for zoom in (5, 15))

    def ticks(image: np.ndarray) -> float:
        started = cv2.getTickCount()
        haar(image)
        return cv2.getTickCount() - started

    assert min(ticks(huge) for _ in range(3)) < 5 * min(ticks(large) for _ in range(3))


def test_a_second_look_finds_more_or_drops_more() -> None:
    """Without one, all candidates are faces; with one that nothing passes, only the sure ones are."""
    photos = [scene((20, 20, size))[0] for size in (100, 140, 180, 220, 260, 300)]
    counts = []
    for sure, votes in ((0, 0), (6, 8), (6, 10_000)):
        detector = build({**config("haar"), "sure": sure, "votes": votes})
        counts.append(sum(len(detector(image)[0]) for image in photos))
    assert counts[0] >= counts[1] >= counts[2] >= 4


def test_a_face_in_a_face_is_none() -> None:
    """Where every candidate counts as a face, none that is left lies in another."""
    eager: Any = build({**config("haar"), "sure": 0, "stages": 12})
    image, _ = scene((180, 10, 320))
    boxes, _ = eager(image)
    raw = (boxes[:, 2] - boxes[:, 0]) / eager.correction.scale
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.outer(raw, [eager.correction.x, eager.correction.y])
    found = np.concatenate([centres - raw[:, None] / 2, centres + raw[:, None] / 2], axis=1)
    assert len(found) >= 3
    assert max(coverage(found[i], np.delete(found, i, axis=0)).max() for i in range(len(found))) <= 0.501


def test_opencvs_own_threads_change_nothing(haar: Haar) -> None:
    """They give windows in any order, and grouping feels it."""
    image = np.random.default_rng(3).integers(0, 256, (45, 60), np.uint8)
    image = cv2.resize(image, (480, 360), interpolation=cv2.INTER_CUBIC)
    threads = cv2.getNumThreads()
    eager = replace(haar, sure=1)
    try:
        cv2.setNumThreads(1)
        alone = eager(image)
        cv2.setNumThreads(4)
        for _ in range(20):
            for found, expected in zip(eager(image), alone, strict=True):
                np.testing.assert_array_equal(found, expected)
    finally:
        cv2.setNumThreads(threads)
    assert len(alone[0]) > 0


def test_threads_share_a_detector(haar: Haar) -> None:
    photos = [scene((20, 20, size))[0] for size in (80, 120, 160, 200, 240, 280)]
    alone = [haar(image) for image in photos]
    barrier = threading.Barrier(3)

    def look(image: np.ndarray) -> Any:
        barrier.wait(timeout=10)
        return haar(image)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            for (boxes, scores), (expected, sure) in zip(pool.map(look, photos), alone, strict=True):
                np.testing.assert_array_equal(boxes, expected)
                np.testing.assert_array_equal(scores, sure)


@pytest.mark.parametrize("name", ["scale_factor", "stages", "min_share", "min_size"])
def test_haar_refuses_numbers_that_cannot_be(name: str) -> None:
    with pytest.raises(UserError, match=rf"detector\.{name}: expected a number from .*, found -1"):
        build({**config("haar"), name: -1})


def test_haar_on_real_photos(haar: Haar, shared: Path) -> None:
    """Both faces of the one; on the other, a group, all but those that turn away."""
    boxes, _ = haar(images.read(shared / "data/photos/obamas.jpg", 3))
    assert len(boxes) >= 2
    group = images.read(shared / "data/ibug_xml/2008_001322.jpg", 3)
    found, _ = haar(group)
    for centre in ((139, 208), (259, 250), (397, 210)):
        assert any((box[:2] < centre).all() and (box[2:] > centre).all() for box in found)


@pytest.mark.parametrize("shape", [(40, 60), (61, 40, 3)])
def test_a_image_is_continued_by_its_mirror_image(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    inside = [[-10, 5, 12, 27], [30, 30, 41, 41]]  # one is cut by the left edge
    mirrored = [[-25, 5, -3, 27], [-18, 5, 4, 27]]  # nothing or less than a quarter lies in the image

    def find(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pad = round(PADDING * min(shape[:2]))
        expected = np.pad(image, [(pad, pad), (pad, pad), (0, 0)][: len(shape)], mode="reflect")
        np.testing.assert_array_equal(padded, expected)
        return np.array([*inside, *mirrored], np.float32) + pad, np.arange(4, dtype=np.float32)

    squares, scores = beyond_edges(find, image)
    np.testing.assert_array_equal(squares, inside)
    np.testing.assert_array_equal(scores, [0, 1])


@pytest.mark.parametrize("tilt", [-30, 20])
def test_what_is_found_on_a_turned_image_comes_back_to_its_place(tilt: float) -> None:
    """A bright spot, and a detector that takes the brightest pixels for the middle of a face."""
    image = np.zeros((80, 120), np.uint8)
    image[43:48, 68:73] = 255

    def find(turned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, x = np.nonzero(turned[40:90, 60:110] > 200)  # not the mirror images
        middle = np.array([x.mean() + 60, y.mean() + 40])
        return np.concatenate([middle - 8, middle + 8])[None].astype(np.float32), np.ones(1, np.float32)

    squares, _ = beyond_edges(find, image, tilt)
    np.testing.assert_allclose(squares, [[62, 37, 78, 53]], atol=0.3)


def test_for_hiding_haar_finds_tilted_faces(haar: Haar, shared: Path) -> None:
    photo = images.read(shared / "data/photos/obamas.jpg", 3)
    height, width = photo.shape[:2]
    places = (haar(photo)[0][:, :2] + haar(photo)[0][:, 2:]) / 2
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 30, 1)
    tilted = np.asarray(cv2.warpAffine(photo, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    moved = places @ turn[:, :2].T + turn[:, 2]
    assert not hidden(haar(tilted)[0], moved).all()
    candidates = haar.for_hiding(tilted)
    assert hidden(np.concatenate([candidates.squares, candidates.doubtful]), moved).all()


def hidden(boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether each place (N, 2) lies in one of the boxes (M, 4)."""
    return ((places[:, None] > boxes[:, :2]) & (places[:, None] < boxes[:, 2:])).all(axis=2).any(axis=1)


@pytest.mark.parametrize("side", ["left", "right", "bottom"])
def test_for_hiding_haar_finds_a_face_that_the_edge_cuts(haar: Haar, shared: Path, side: str) -> None:
    photo = images.read(shared / "data/photos/obamas.jpg", 3)
    (left, top, right, bottom), *_ = haar(photo)[0].astype(int)
    third = (right - left) // 3
    ends = {
        "left": (left + third, 0, None, None),
        "right": (0, 0, right - third, None),
        "bottom": (0, 0, None, bottom - third),
    }
    x, y, x_end, y_end = ends[side]
    cut = np.ascontiguousarray(photo[y:y_end, x:x_end])
    middle = np.array([[(left + right) / 2 - x, (top + bottom) / 2 - y]])
    assert not hidden(haar(cut)[0], middle).any()
    assert hidden(haar.for_hiding(cut).squares, middle).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1), (20_000, 30)])
def test_haar_takes_images_of_any_size(haar: Haar, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    assert len(haar(pixels)[0]) == len(haar.for_hiding(pixels).squares) == 0


def test_for_hiding_haar_finds_most_faces_of_crowds(haar: Haar, shared: Path) -> None:
    """Against the boxes that another detector has given of all faces, also small and turned ones."""
    folder = shared / "data/scenes"
    labels = json.loads((folder / "face_boxes.json").read_text())
    found: dict[str, list[np.ndarray]] = {"as always": [], "for hiding": []}
    for name in sorted(labels)[::60]:
        boxes = np.array([box for box in labels[name] if box[4] > 0.5]).reshape(-1, 5)
        photo, middles = images.read(folder / name, 3), (boxes[:, :2] + boxes[:, 2:4]) / 2
        found["as always"].append(hidden(haar(photo)[0], middles))
        candidates = haar.for_hiding(photo)
        found["for hiding"].append(hidden(np.concatenate([candidates.squares, candidates.doubtful]), middles))
    shares = {how: np.concatenate(each).mean() for how, each in found.items()}
    assert shares["for hiding"] > 0.75
    assert shares["for hiding"] > shares["as always"] + 0.2


def test_whole_image_is_the_square_in_the_middle() -> None:
    boxes, scores = WholeImage(AS_IS, JITTER, None)(np.zeros((80, 120, 3), np.uint8))
    np.testing.assert_array_equal(boxes, [[19.5, -0.5, 99.5, 79.5]])
    assert np.isnan(scores).all()
    assert scores.shape == (1,)


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[dict[int, tuple[int, list[float], float]]], Path]:
    """Writes a network with YuNet's outputs, which gives the same boxes for every image."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper

    def write(answers: dict[int, tuple[int, list[float], float]]) -> Path:
        """Answers: stride -> row of the output, (x, y, width, height) as the network puts them, score."""
        constants, nodes, outputs = [], [], []
        nodes.append(helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0))
        constants.append(numpy_helper.from_array(np.array([1, 1, 1], np.int64), "one_number"))
        constants.append(numpy_helper.from_array(np.zeros((1, 1, 1), np.float32), "nothing"))
        nodes += [helper.make_node("Reshape", ["mean", "one_number"], ["number"])]
        nodes += [helper.make_node("Mul", ["number", "nothing"], ["zero"])]
        for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            for stride in (8, 16, 32):
                values = np.zeros((1, (256 // stride) ** 2, size), np.float32)
                if stride in answers:
                    row, box, score = answers[stride]
                    values[0, row] = {"cls": score, "obj": score, "bbox": box, "kps": 0.0}[kind]
                name = f"{kind}_{stride}"
                constants.append(numpy_helper.from_array(values, f"{name}_values"))
                nodes.append(helper.make_node("Add", [f"{name}_values", "zero"], [name]))
                outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, values.shape))
        shape = [1, 3, "height", "width"]
        graph = helper.make_graph(
            nodes,
            "stand_in",
            [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
            outputs,
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        onnx.save(model, tmp_path / "yunet.onnx")
        return tmp_path / "yunet.onnx"

    return write


def yunet(model: Path, max_side: int = 1000) -> YuNet:
    return YuNet(str(model), 0.6, 0.3, max_side, AS_IS, JITTER, None)


@pytest.mark.parametrize("grey", [False, True])
def test_yunets_boxes_come_to_the_photos_place(stand_in: Any, grey: bool) -> None:
    """A box is its grid cell plus an offset, in strides, and the exponentials of its sizes; the image is 96 x 64."""
    log = np.log
    model = stand_in({8: (12 * 3 + 5, [0.5, 0.25, log(4), log(3)], 0.7), 16: (6 * 2 + 3, [0.0, 0.5, log(2), 0], 0.9)})
    image = np.zeros((64, 96) if grey else (64, 96, 3), np.uint8)
    boxes, scores = yunet(model)(image)
    # Row 41 of 12 columns is cell (5, 3) of 8 px: centre (44, 26), 32 x 24; row 15 of 6 columns (3, 2) of 16 px:
    # centre (48, 40), 32 x 16. Squares of 32 px; pixel edges start at -0.5.
    np.testing.assert_allclose(boxes, [[31.5, 23.5, 63.5, 55.5], [27.5, 9.5, 59.5, 41.5]], atol=1e-3)
    np.testing.assert_allclose(scores, [0.9, 0.7], atol=1e-4)


def test_yunet_sees_large_images_smaller(stand_in: Any) -> None:
    model = stand_in({8: (12 * 3 + 5, [0.5, 0.25, np.log(4), np.log(4)], 0.8)})
    boxes, _ = yunet(model, max_side=96)(np.zeros((640, 960, 3), np.uint8))
    np.testing.assert_allclose(boxes, [[279.5, 99.5, 599.5, 419.5]], atol=1e-2)


def test_yunet_finds_none(stand_in: Any) -> None:
    boxes, scores = yunet(stand_in({}))(BLANK)
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_a_yunet_may_have_a_name_that_is_no_utf8(stand_in: Any) -> None:
    model = stand_in({})
    boxes, _ = yunet(model.rename(model.with_name("bytes\udcff.onnx")))(BLANK)
    assert len(boxes) == 0


def test_a_missing_yunet_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"detector\.model=None: .*face_detection_yunet_2023mar\.onnx.*OpenCV Zoo"):
        build(config("yunet"))
    with pytest.raises(UserError, match="found no such file"):
        yunet(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(UserError, match=r"text\.onnx: expected YuNet's ONNX file, found another"):
        yunet(tmp_path / "text.onnx")


def test_another_network_is_no_yunet(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1, 3, 64, 64]) for name in ("input", "output")]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["output"])], "relu", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, tmp_path / "relu.onnx")
    with pytest.raises(UserError, match=r"relu\.onnx: expected YuNet's ONNX file, found another"):
        yunet(tmp_path / "relu.onnx")


def boxes_of(content: Any, folder: Path) -> BoxFile:
    path = folder / ("boxes.csv" if isinstance(content, str) else "boxes.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return BoxFile(str(path), AS_IS, JITTER, None)


PREDICTIONS = [
    {
        "image": "a/x.jpg",
        "width": 90,
        "height": 80,
        "faces": [
            {"box": [0, 0, 10, 10], "score": None, "keypoints": [[1, 2]]},
            {"box": [20, 20, 40, 40], "score": 0.5, "keypoints": [[1, 2]]},
            {"box": [50, 20, 70, 40], "score": 4, "keypoints": [[1, 2]]},
        ],
    },
    {"image": "b/x.jpg", "width": 90, "height": 80, "faces": []},
]


def test_predictions_can_be_fed_back(tmp_path: Path) -> None:
    detector = boxes_of(PREDICTIONS, tmp_path)
    boxes, scores = detector(BLANK, "/photos/a/x.jpg")
    np.testing.assert_array_equal(boxes, [[50, 20, 70, 40], [20, 20, 40, 40], [0, 0, 10, 10]])
    np.testing.assert_array_equal(scores, [4, 0.5, np.nan])
    assert detector(BLANK, "/photos/b/x.jpg")[0].shape == (0, 4)


def test_images_are_found_by_path_then_by_name(tmp_path: Path) -> None:
    detector = boxes_of({"a/x.jpg": [[0, 0, 4, 4]], "b/x.jpg": [], "c/y.jpg": [[0, 0, 8, 8]]}, tmp_path)
    assert len(detector(BLANK, "a/x.jpg")[0]) == 1
    assert len(detector(BLANK, "photos/b/x.jpg")[0]) == 0
    assert len(detector(BLANK, "elsewhere/y.jpg")[0]) == 1
    assert len(detector(BLANK, "a/unknown.jpg")[0]) == 0
    with pytest.raises(UserError, match=r"expected one image for elsewhere/x\.jpg, found a/x\.jpg, b/x\.jpg"):
        detector(BLANK, "elsewhere/x.jpg")
    with pytest.raises(UserError, match="without a path"):
        detector(BLANK)


def test_csv_says_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    with path.open("w", newline="") as file:
        rows = [["x, y.jpg", 0, 0, 10, 20, ""], ["x, y.jpg", 5, 5, 25, 25, 2]]
        csv.writer(file).writerows([["image", "left", "top", "right", "bottom", "score"], *rows])
    boxes, scores = BoxFile(str(path), AS_IS, JITTER, None)(BLANK, "x, y.jpg")
    np.testing.assert_array_equal(boxes, [[5, 5, 25, 25], [-5, 0, 15, 20]])
    np.testing.assert_array_equal(scores, [2, np.nan])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image,left,top,right,bottom\nx.jpg,1,2,3\n", "line 2: expected 5 columns, as the header has, found 4"),
        ("image,left,top,right,bottom\nx.jpg,1,2,3,4\nx.jpg,1,2,one,4\n", "line 3: expected a number, found 'one'"),
        ("image,left,top,right,bottom\nx.jpg,3,2,1,4\n", "line 2: expected left < right"),
        ("image,left,top,right,bottom\nx.jpg,1,2,nan,4\n", "line 2: expected a number, found 'nan'"),
        ("image,x,y,w,h\n", "line 1: expected image,left,top,right,bottom"),
        ("", "line 1: expected image,left,top,right,bottom"),
        ({"x.jpg": [[0, 0, 4]]}, "box 0 of x.jpg: expected a box"),
        ({"x.jpg": 3}, "x.jpg: expected a list"),
        ([{"image": "x.jpg"}], "entry 0: expected a list"),
        ([{"image": "x.jpg", "faces": [{"box": None}]}], "entry 0, face 0: expected a box"),
        ([{"image": "x.jpg", "faces": [{"box": [0, 0, 4, 4], "score": "high"}]}], "score: expected a number"),
        ([{"image": "x.mp4", "frame": 0, "faces": []}], "entry 0: expected an image, found a video's frame"),
        (["x.jpg"], 'entry 0: expected {"image": name'),
    ],
)
def test_a_broken_box_file_is_said_by_its_row(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"boxes\.(csv|json)") as caught:
        boxes_of(content, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[1,", b'{"a": ', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_box_file_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_bytes(content)
    with pytest.raises(UserError, match=r"boxes\.json: expected JSON"):
        BoxFile(str(tmp_path / "boxes.json"), AS_IS, JITTER, None)
    with pytest.raises(UserError, match=r"none\.json: expected a JSON or CSV file"):
        BoxFile(str(tmp_path / "none.json"), AS_IS, JITTER, None)
    with pytest.raises(UserError, match=r"set detector=boxes detector\.file=PATH"):
        build(config("boxes"))


def test_detectors_of_conf_build_without_hydra(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text("{}")
    for name, kind, own in (
        ("haar", Haar, {}),
        ("whole_image", WholeImage, {}),
        ("boxes", BoxFile, {"file": str(tmp_path / "boxes.json")}),
    ):
        content = config(name) | own
        detector = build(content)
        assert isinstance(detector, kind)
        assert detector.jitter == Jitter(**{k: v for k, v in content["jitter"].items() if k != "_target_"})
        assert detector.limit == content["limit"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_target_": "os.system"}, "expected _target_ to be one of"),
        ({"_target_": "fkd.detect.Detector"}, "expected _target_ to be one of"),
        ({"_target_": ["fkd.detect.Haar"]}, "expected _target_ to be one of"),
        ({"correction": {"_target_": "fkd.geometry.Crop"}}, "detector.correction: expected _target_ to be one of"),
        ({"jitter": {"_target_": "fkd.geometry.Jitter", "scale": 1}}, "detector.jitter: missing"),
        ({"colour": 3}, "unexpected keyword argument 'colour'"),
        ({"stages": [1]}, "detector.stages: expected a number or a text"),
        ({"sure": "many"}, "detector"),
        ({"min_share": config("haar")["correction"]}, "detector.min_share: expected a number, found Correction"),
        ({"correction": config("haar")["jitter"]}, "detector.correction: expected Correction, found Jitter"),
        ({"limit": config("haar")["jitter"]}, "detector.limit: expected a number or null, found Jitter"),
    ],
)
def test_untrusted_configs_build_nothing_else(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        build(config("haar") | change)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"min_size": "9"}, "detector.min_size: expected a whole number, found '9'"),
        ({"votes": float("nan")}, "detector.votes: expected a whole number, found nan"),
        ({"correction": {"_target_": "fkd.geometry.Correction", "scale": 1e39, "x": 0.0, "y": 0.0}}, "found 1e+39"),
        ({"correction": {"_target_": "fkd.geometry.Correction", "scale": math.nan, "x": 0.0, "y": 0.0}}, "found nan"),
    ],
)
def test_values_out_of_range_are_said_before_and_after_a_training(change: dict[str, Any], said: str) -> None:
    for function in (build, check):
        with pytest.raises(UserError) as caught:
            function(config("haar") | change)
        assert said in str(caught.value)


def test_sizes_that_would_take_all_memory_are_refused() -> None:
    detector = build(config("haar") | {"min_share": 0.0, "min_size": 1, "scale_factor": 1.01})
    with pytest.raises(UserError, match=r"expected at most .* pixels in all sizes of an image, found 1000 x 1000"):
        detector(np.zeros((1000, 1000), np.uint8))


def test_a_net_names_no_file(tmp_path: Path) -> None:
    """What it says is neither read nor quoted."""
    (tmp_path / "secret").write_text("password")
    for name, key in (("boxes", "file"), ("yunet", "model")):
        with pytest.raises(UserError) as caught:
            build(without_files(config(name) | {key: str(tmp_path / "secret")}))
        assert f"set detector={name} detector.{key}=PATH" in str(caught.value)
        assert "secret" not in str(caught.value)
    assert without_files(config("haar")) == config("haar")


def test_a_pipe_is_no_box_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="expected a JSON or CSV file with boxes, found a device, a pipe or a socket"):
        build(config("boxes") | {"file": str(tmp_path / "pipe")})
