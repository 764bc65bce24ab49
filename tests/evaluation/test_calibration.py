"""A detector with a known habit, and what calibration makes of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from fkd.data.sources.udacity import udacity
from fkd.detect import build
from fkd.errors import UserError
from fkd.evaluation.calibration import Look, calibrate, halves, look
from fkd.geometry import Correction, Jitter, square_around
from fkd.types import Points

HABIT, JITTER = Correction(0.8, -0.05, 0.15), Jitter(0.08, 0.06, 0.03)


def habitual(square: Points, rng: np.random.Generator) -> Points:
    """The box that this detector draws about a face: its correction leaves the square as the jitter has it."""
    left, top, right, _ = JITTER(square, rng)
    width = (right - left) / HABIT.scale
    centre = np.array([(left + right) / 2, top + (right - left) / 2]) - np.array([HABIT.x, HABIT.y]) * width
    return np.array([*(centre - width / 2), *(centre + width / 2)], np.float32)


def looks(count: int, outliers: float = 0.0) -> list[Look]:
    rng = np.random.default_rng(0)
    result = []
    for i in range(count):
        left, top, side = rng.uniform(100, 200), rng.uniform(100, 200), rng.uniform(40, 160)
        square = np.array([left, top, left + side, top + side], np.float32)
        boxes, scores = [habitual(square, rng)], [9.0]
        if rng.random() < outliers:  # as wide as two faces: overlaps too little to count
            boxes = [np.array([left - side, top - side, left + 2 * side, top + 2 * side], np.float32)]
        if i % 4 == 0:  # nowhere near
            boxes, scores = [*boxes, np.array([600, 600, 640, 650], np.float32)], [*scores, 2.0]
        if i % 10 == 0:
            boxes, scores = [], []
        result.append(
            Look(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(scores, np.float32),
                square[None],
                f"subject {i % 7}",
            )
        )
    return result


def test_one_box_is_one_face_however_many_lie_in_it() -> None:
    """40 images with two faces that overlap and a box on one of them: 40 faces are missed."""
    crowded = []
    for each in looks(200):
        if len(each.boxes) and len(crowded) < 40:
            beside = each.faces + np.float32(0.3) * (each.faces[:, 2:3] - each.faces[:, :1]) * np.float32([1, 0, 1, 0])
            crowded.append(
                each._replace(boxes=each.boxes[:1], scores=each.scores[:1], faces=np.concatenate([each.faces, beside]))
            )
    measured = calibrate(crowded)
    assert (measured.faces, measured.missed, measured.false) == (80, 40, 0)


@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_a_known_habit_is_found(outliers: float) -> None:
    measured = calibrate(looks(2000, outliers))
    found, truth = measured.correction, HABIT
    np.testing.assert_allclose((found.scale, found.x, found.y), (truth.scale, truth.x, truth.y), atol=0.01)
    jitter = measured.jitter
    np.testing.assert_allclose((jitter.scale, jitter.x, jitter.y), (JITTER.scale, JITTER.x, JITTER.y), rtol=0.12)


def test_misses_and_false_boxes_are_counted() -> None:
    measured = calibrate(looks(400))
    assert (measured.images, measured.faces) == (400, 400)
    assert measured.missed == 40
    assert measured.false == 80  # every fourth of 400, but not those that are also tenth
    assert len(measured.found_scores) == 360
    assert (measured.found_scores == 9).all()
    assert (measured.false_scores == 2).all()


def test_several_faces_of_a_image_take_their_own_boxes() -> None:
    pairs = list(zip(looks(200)[1::2], looks(200)[1::2], strict=True))
    both = [
        Look(
            np.concatenate([a.boxes, b.boxes + 800]), np.tile(a.scores, 2), np.concatenate([a.faces, b.faces + 800]), ""
        )
        for a, b in pairs
    ]
    measured = calibrate(both)
    assert (measured.images, measured.faces, measured.missed) == (100, 200, 0)
    np.testing.assert_allclose(measured.correction.scale, HABIT.scale, atol=0.02)


def test_halves_share_nobody() -> None:
    one, other = halves(looks(100))
    assert len(one) + len(other) == 100
    assert not {each.subject for each in one} & {each.subject for each in other}


def test_too_few_faces_are_said() -> None:
    with pytest.raises(UserError, match="expected boxes on ten faces or more, found 0"):
        calibrate([Look(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.array([[0, 0, 9, 9]]), "")])
    with pytest.raises(UserError, match="found 0 on 0 images"):
        calibrate([])


class Habitual:
    """Knows the faces of the images, and their paths."""

    jitter, limit = JITTER, None

    def __init__(self, squares: dict[str, Points]) -> None:
        self.squares = squares

    def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[Points, np.ndarray]:
        assert path is not None
        return habitual(self.squares[path], np.random.default_rng(len(path)))[None], np.ones(1, np.float32)


def test_each_image_of_the_training_split_is_looked_at(faces_root: Path, tmp_path: Path) -> None:
    faces = udacity(str(faces_root), "official", 0.2, 0.2, 0, True, 1, str(tmp_path))
    table = faces.subset("train")
    squares = dict(zip(table.paths.tolist(), square_around(table.keypoints), strict=True))
    seen = list(look(Habitual(squares), faces, "train"))
    assert len(seen) == len(table)
    assert calibrate(seen).missed == 0


def test_the_script_writes_a_detector_that_can_be_used(script: Callable, faces_root: Path, tmp_path: Path) -> None:
    data = ["data=udacity", f"data.root={faces_root}", f"data.cache_dir={tmp_path}"]
    outcome = script("calibrate", "detector=whole_image", *data, "output=mine.yaml")
    assert outcome.status == 0, outcome.err
    assert "all" in outcome.out
    assert "other half" in outcome.out
    assert "written to mine.yaml; put into conf/detector, it is chosen as detector=mine" in outcome.out
    content = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    detector = build(content)
    faces = udacity(str(faces_root), "official", 0.15, 0.15, 0, True, 1, str(tmp_path))
    table = faces.subset("train")
    found = np.concatenate([detector(faces.images[int(i)])[0] for i in table.images])
    truth = square_around(table.keypoints)
    ratio = (truth[:, 2] - truth[:, 0]) / (found[:, 2] - found[:, 0])
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    offset = ((truth - found)[:, :2] + (truth - found)[:, 2:]) / 2
    np.testing.assert_allclose(np.median(offset, axis=0), 0, atol=2.0)  # of 80 px


def test_a_file_that_lies_where_detectors_are_found_need_not_be_put_there(
    script: Callable, faces_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "conf/detector").mkdir(parents=True)
    data = ["data=udacity", f"data.root={faces_root}", f"data.cache_dir={tmp_path}", "--config-dir", "conf"]
    outcome = script("calibrate", "detector=whole_image", *data, "output=conf/detector/mine.yaml")
    assert outcome.status == 0, outcome.err
    assert "written to conf/detector/mine.yaml; it is chosen as detector=mine" in outcome.out


def test_the_script_says_what_it_cannot_write(script: Callable, faces_root: Path, tmp_path: Path) -> None:
    data = ["data=udacity", f"data.root={faces_root}", f"data.cache_dir={tmp_path}"]
    Path("file").touch()
    outcome = script("calibrate", "detector=whole_image", *data, "output=file/mine.yaml")
    assert outcome.status == 2
    assert "file: expected a folder that can be written to" in outcome.err
    assert "faces" not in outcome.out  # before the long work
