"""The comparison of face detectors, on toy sets, and its records."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from benchmarks.detectors import __main__ as command
from benchmarks.detectors import measuring, pictures, worker
from benchmarks.detectors.measuring import Tally, Time, counts
from benchmarks.detectors.pictures import Picture, PictureSet
from benchmarks.detectors.rivals import TITLES, Found, Worker, rivals
from benchmarks.detectors.table import table
from fkd.api import compose
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.detect import build
from fkd.detector_training.split import is_held_out
from fkd.errors import UserError
from fkd.evaluation.matching import match
from fkd.geometry import Correction, eye_rolls, square_around
from fkd.io import images
from tests.conftest import PROJECT

WHOLE = json.dumps(
    {
        "_target_": "fkd.detect.WholeImage",
        "limit": None,
        "correction": {"_target_": "fkd.geometry.Correction", "scale": 0.5, "x": 0.0, "y": 0.25},
        "jitter": {"_target_": "fkd.geometry.Jitter", "scale": 0.0, "x": 0.0, "y": 0.0},
    }
)


@pytest.fixture(scope="module")
def frames(faces_root: Path) -> Faces:
    cache = faces_root.parent / "cache"
    return build_faces(compose(["data=udacity", f"data.root={faces_root}", "channels=3", f"data.cache_dir={cache}"]))


def picture(faces: list[list[float]], counts: list[bool]) -> Picture:
    return Picture(np.zeros((50, 50, 3), np.uint8), np.array(faces, np.float32).reshape(-1, 4), np.array(counts, bool))


def test_the_records_are_of_the_same_pictures() -> None:
    results = json.loads((PROJECT / command.RESULTS).read_text())
    assert set(results["detectors"]) <= set(TITLES)
    sizes = {json.dumps({n: (t["pictures"], t["faces"]) for n, t in r["sets"].items()}) for r in measured(results)}
    assert len(sizes) == 1, "all detectors saw the same pictures"


def measured(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in results["detectors"].values() if row["sets"]]


def test_each_box_serves_one_face_and_each_face_has_one_box() -> None:
    """Two near faces under one box; a face with two boxes; a doubtful face with a box; a box on nothing."""
    tally = Tally()
    near = picture([[0, 0, 20, 20], [6, 0, 26, 20]], [True, True])
    tally.add(near, np.array([[2, 0, 22, 20]], np.float32))
    twice = picture([[0, 0, 20, 20], [30, 30, 40, 40]], [True, False])
    tally.add(twice, np.array([[0, 0, 20, 21], [1, 1, 21, 21], [30, 30, 40, 41], [100, 0, 120, 20]], np.float32))
    tally.add(picture([[0, 0, 20, 20]], [True]), np.zeros((0, 4), np.float32))
    assert vars(tally) == {"pictures": 3, "faces": 4, "found": 2, "false": 2, "with_false": 1}


def test_all_detectors_see_the_same_pictures() -> None:
    faces = [[0, 0, 20, 20], [10, 10, 40, 40], [5, 5, 45, 45]]
    shown: list[int] = []

    def make() -> Any:
        for number, face in enumerate(faces):
            shown.append(number)
            yield picture([face], [True])._replace(image=np.full((50, 50, 3), number, np.uint8))

    def sees(numbers: set[int]) -> Any:
        def find(image: np.ndarray) -> Found:
            here = [faces[image[0, 0, 0]]] if image[0, 0, 0] in numbers else []
            return Found(np.array(here, np.float32).reshape(-1, 4), np.ones(len(here), np.float32), [1.0])

        return find

    found = counts({"two": sees({0, 2}), "all": sees({0, 1, 2})}, {"toy": PictureSet(3, make)})
    assert shown == [0, 1, 2]
    assert [found[name]["toy"]["found"] for name in ("two", "all")] == [2, 3]


def test_a_detector_of_another_process_gives_boxes_and_times() -> None:
    with Worker(sys.executable, ("fkd", WHOLE), Correction(2.0, 0.0, 0.0)) as detector:
        for height, width in ((40, 60), (80, 80)):
            found = detector(np.zeros((height, width, 3), np.uint8), calls=3)
            side = min(height, width)
            middle = np.array([width, height]) / 2 - 0.5 + [0, side / 4]  # half a side wide, then twice that
            np.testing.assert_allclose(found.boxes, [[*(middle - side / 2), *(middle + side / 2)]], atol=1e-4)
            assert len(found.ms) == 3
            assert min(found.ms) > 0


def test_a_detector_that_fails_says_why_in_one_line() -> None:
    with (
        pytest.raises(UserError, match=r"^fkd \{\}: .*expected _target_ to be one of") as caught,
        Worker(sys.executable, ("fkd", "{}")),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_mediapipes_boxes_become_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    place = SimpleNamespace(xmin=0.25, ymin=0.5, width=0.5, height=0.25)
    detection = SimpleNamespace(location_data=SimpleNamespace(relative_bounding_box=place), score=[0.75])
    answers = {0: SimpleNamespace(detections=[detection]), 1: SimpleNamespace(detections=None)}
    kind = SimpleNamespace(
        FaceDetection=lambda model_selection: SimpleNamespace(process=lambda image: answers[model_selection])
    )
    monkeypatch.setitem(sys.modules, "mediapipe", SimpleNamespace(solutions=SimpleNamespace(face_detection=kind)))
    boxes, scores = worker.mediapipe("short")(np.zeros((80, 120, 3), np.uint8))
    np.testing.assert_allclose(boxes, [[29.5, 39.5, 89.5, 59.5]])
    assert scores == [0.75]
    assert len(worker.mediapipe("full")(np.zeros((80, 120, 3), np.uint8))[0]) == 0


def test_a_turned_photo_has_its_face_at_the_turned_place(frames: Faces) -> None:
    """A quarter and a half turn against numpy's."""
    table = frames.subset("test")
    for row in (2, 3):
        image, points = frames.images[int(table.images[row])], table.keypoints[row]
        size = image.shape[0]
        counter_clockwise = row % 2 == 1
        turned = pictures._turned(frames, 90, row)
        np.testing.assert_allclose(turned.image, np.rot90(image, 1 if counter_clockwise else -1), atol=2)
        x, y = points.T
        expected = [y, size - 1 - x] if counter_clockwise else [size - 1 - y, x]
        there = np.stack(expected, axis=1)
        square = square_around(there, eye_rolls(there, table.schema))
        np.testing.assert_allclose(turned.faces[0], square, atol=0.01)
        np.testing.assert_allclose(pictures._turned(frames, 180, row).image, image[::-1, ::-1], atol=2)
    larger = pictures._turned(frames, 45, 0)
    assert abs(larger.image.shape[0] - size * np.sqrt(2)) < 2


def test_the_square_of_a_face_is_turned_with_its_photo(frames: Faces) -> None:
    """As `fkd calibrate` takes it: as wide at each angle, and where the turn moves the middle of the upright face."""
    table = frames.subset("test")
    for row in (2, 3):
        upright, (height, width) = (
            pictures._labelled(frames, row).faces[0],
            frames.images[int(table.images[row])].shape[:2],
        )
        roll = np.radians(eye_rolls(table.keypoints[row], table.schema))
        cos, sin = np.cos(roll), np.sin(roll)
        low, high = (f(table.keypoints[row] @ [[cos, -sin], [sin, cos]], axis=0) for f in (np.min, np.max))
        np.testing.assert_allclose(upright[2:] - upright[:2], max(high - low), atol=1e-3)
        for angle in pictures.ANGLES:
            turned = pictures._turned(frames, angle, row)
            np.testing.assert_allclose(turned.faces[0, 2:] - turned.faces[0, :2], upright[2:] - upright[:2], atol=1e-3)
            middle = complex(*(upright[:2] + upright[2:] - [width - 1, height - 1]) / 2)
            middle *= np.exp(1j * np.radians(-angle if row % 2 else angle))
            there = (turned.faces[0, :2] + turned.faces[0, 2:] - np.array(turned.image.shape[1::-1]) + 1) / 2
            np.testing.assert_allclose(there, [middle.real, middle.imag], atol=0.6)  # half a pixel of the canvas


def test_a_cut_photo_has_two_thirds_of_its_face(frames: Faces) -> None:
    shares = []
    for row in range(10):
        cut = pictures._cut(frames, 0, row)
        (square,), (height, width) = cut.faces, cut.image.shape[:2]
        low, high = np.clip(square[:2], -0.5, None), np.minimum(square[2:], [width - 0.5, height - 0.5])
        shares.append(np.prod(high - low) / np.prod(square[2:] - square[:2]))
        (whole,) = pictures._labelled(frames, row).faces
        np.testing.assert_allclose(square[2:] - square[:2], whole[2:] - whole[:2], atol=1e-3)
    assert min(shares) > 0.57
    assert max(shares) < 0.73


def toy_scenes(folder: Path) -> dict[str, list[list[float]]]:
    """Two held-out scenes and another one, with a magenta square where the teacher sees a face."""
    names = [f"{i}.png" for i in range(100)]
    labels = {}
    for name in [n for n in names if is_held_out(n)][:2] + [n for n in names if not is_held_out(n)][:1]:
        image = np.full((200, 300, 3), 90, np.uint8)
        image[25:125, 75:175] = 255, 0, 255  # and half its side around it
        images.write(folder / name, image)
        labels[name] = [[100, 50, 150, 100, 0.9], [0, 0, 10, 10, 0.95], [250, 150, 290, 190, 0.4]]
    (folder / "face_boxes.json").write_text(json.dumps(labels))
    return labels


def test_pictures_without_a_face_show_nothing_of_one(tmp_path: Path) -> None:
    labels = {name: np.array(rows) for name, rows in toy_scenes(tmp_path).items()}
    found = list(pictures._empty(tmp_path, labels, 30, 5, 0))
    assert len(found) == 35
    assert len({each.image.shape for each in found}) > 10
    for each in found[:30]:
        assert (each.image == 90).all()
        assert len(each.faces) == 0
    for each, again in zip(found, pictures._empty(tmp_path, labels, 30, 5, 0), strict=True):
        np.testing.assert_array_equal(each.image, again.image)


def test_a_scene_asks_for_its_sure_and_large_faces(tmp_path: Path) -> None:
    labels = {name: np.array(rows) for name, rows in toy_scenes(tmp_path).items()}
    name = next(iter(labels))
    scene = pictures._scene(tmp_path, labels, Correction(0.5, 0.0, 0.0), name)
    assert scene.counts.tolist() == [True, False, False]
    np.testing.assert_allclose(scene.faces[0], [112, 62, 137, 87])


def test_one_command_measures_and_writes_the_records(
    frames: Faces, faces_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    monkeypatch.setattr(measuring, "_FRAMES", 1)
    monkeypatch.setattr(pictures, "PARTS", 3)
    monkeypatch.setattr(pictures, "DRAWN", 2)
    data = tmp_path / "data"
    shutil.copytree(faces_root, data / "udacity")
    table_of = frames.subset("test")
    for part in ("lfpw/testset", "helen/testset"):
        (data / "300w_photos" / part).mkdir(parents=True)
        for row in range(2):
            path = data / "300w_photos" / part / f"{row}.jpg"
            images.write(path, cv2.resize(frames.images[int(table_of.images[row])], (256, 256)))
            points = "\n".join(f"{x * 2 + 1.5} {y * 2 + 1.5}" for x, y in table_of.keypoints[row])
            path.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    (data / "scenes").mkdir()
    toy_scenes(data / "scenes")
    Path("results").mkdir()
    old = {"title": "another", "sets": None, "ms": None, "ms_to_keypoints": {s: [1, 1] for s in measuring.SIZES}}
    Path("results/detectors.json").write_text(json.dumps({"detectors": {"mediapipe_mesh": old, "haar": {}}}))

    command.main([str(data), "--only", "haar", "--limit", "1"])
    assert json.loads(Path("results/detectors.json").read_text())["detectors"]["haar"] == {}
    command.main([str(data), "--only", "haar"])
    results = json.loads(Path("results/detectors.json").read_text())
    assert list(results["detectors"]) == ["haar", "mediapipe_mesh"]
    sets = results["detectors"]["haar"]["sets"]
    assert {name: (tally["pictures"], tally["faces"]) for name, tally in sets.items()} == {
        "udacity": (10, 10),
        "300w": (4, 4),
        "scenes": (2, 2),
        "empty": (5, 0),
        **{f"turned_{angle}": (4, 4) for angle in (30, 45, 90, 180)},
        "cut": (4, 4),
    }
    haar = build(yaml.safe_load((PROJECT / "conf/detector/haar.yaml").read_text()))
    squares = square_around(table_of.keypoints)
    found = [match(squares[[row]], haar(frames.images[int(table_of.images[row])])[0]) for row in range(10)]
    assert sets["udacity"]["found"] == sum(map(len, found)) > 0
    assert table(results) in capsys.readouterr().out


def test_the_table_says_where_a_timed_face_was_not_found() -> None:
    sets = {name: {"pictures": 4, "faces": 4, "found": 3, "false": 2, "with_false": 1} for name in ("udacity", "300w")}
    sets |= dict.fromkeys(("scenes", "cut", *(f"turned_{a}" for a in pictures.ANGLES)), sets["300w"])
    sets["empty"] = {"pictures": 8, "faces": 0, "found": 0, "false": 3, "with_false": 2}
    ms = dict(zip(measuring.SIZES, (Time(1.04, 1.0), Time(2.0, 0.6), Time(3.0, 1.0)), strict=True))
    results = {"detectors": {"a": {"title": "A", "sets": sets, "ms": ms, "ms_to_keypoints": None}}}
    assert table(results).splitlines()[2] == (
        "| A | 1; 2 | 1 | 75.0 %; 0.50 | 25.0 % | 75.0 %, 75.0 %, 75.0 %, 75.0 % | 75.0 % "
        "| 1.0, 2.0 (60% found), 3.0 | – |"
    )


def test_what_cannot_be_measured_is_said(tmp_path: Path, frames: Faces) -> None:
    with pytest.raises(UserError, match=r"^--only mine: expected some of haar, fkd"):
        rivals(["haar", "mine"], tmp_path, None)
    with pytest.raises(UserError, match=r"lfpw/testset: expected a part of the benchmark's data, found none"):
        pictures.sets(tmp_path, frames, 0, None)
