"""Tests plant faults into synthetic faces, whose labels are exact, and expect the checks to find those and no more."""

import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import fkd
from fkd.data.face_data import Faces
from fkd.dataset_report import checks
from fkd.dataset_report.checks import Finding, duplicates, perceptual_hash, shapes
from fkd.dataset_report.checks.quantization import cell_error, quantization
from fkd.dataset_report.checks.shift import line, shift
from fkd.errors import UserError
from fkd.geometry import Window
from fkd.inference.metadata import Metadata
from fkd.schema import IBUG68, KeypointSchema
from fkd.synthetic.dataset import synthetic_faces
from fkd.types import Annotations, Image, Points

FACES, SIZE = 160, 128


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """Synthetic faces of forty subjects, each in one split; their images in a list, which tests copy to change them."""
    drawn = synthetic_faces(
        root=str(tmp_path_factory.mktemp("drawn")),
        subjects=40,
        frames=FACES // 40,
        size=SIZE,
        seed=3,
        val_share=0.15,
        test_share=0.15,
        channels=1,
    )
    return replace(drawn, images=[drawn.images[i].copy() for i in range(FACES)])


def with_table(faces: Faces, **columns: Any) -> Faces:
    return replace(faces, table=replace(faces.table, **columns))


def moved(faces: Faces, rows: list[int], points: Points) -> Faces:
    """The same with other points (len(rows), K, 2) on some rows."""
    keypoints = faces.table.keypoints.copy()
    keypoints[rows] = points
    return with_table(faces, keypoints=keypoints)


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def chosen(faces: Faces, split: str, count: int) -> list[int]:
    """Rows of one split, each of another subject."""
    rows: list[int] = faces.splits[split].tolist()
    _, firsts = np.unique(faces.table.subjects[rows], return_index=True)
    return [rows[i] for i in firsts[:count]]


def test_nothing_is_found_on_a_clean_set(faces: Faces) -> None:
    assert checks.examine(faces) == []


def test_subjects_in_two_splits(faces: Faces) -> None:
    (train, *_), (test, *_) = chosen(faces, "train", 1), chosen(faces, "test", 1)
    subjects = faces.table.subjects.copy()
    subjects[subjects == subjects[test]] = subjects[train]
    (finding,) = checks.examine(with_table(faces, subjects=subjects))
    assert (finding.name, finding.severity, finding.count, finding.total) == ("subjects", "fault", 1, 39)
    assert finding.figures == {"test_in_train": 1, "test_in_val": 0, "val_in_train": 0}
    assert subjects[list(finding.rows)].tolist() == [subjects[train]]
    assert set(finding.rows) <= set(faces.splits["test"].tolist())


def test_subjects_of_training_in_validation_are_a_warning(faces: Faces) -> None:
    subjects = faces.table.subjects.copy()
    subjects[chosen(faces, "val", 1)] = subjects[chosen(faces, "train", 1)]
    (finding,) = checks.examine(with_table(faces, subjects=subjects))
    assert (finding.name, finding.severity, finding.count) == ("subjects", "warning", 1)


def test_copies_in_other_splits(faces: Faces) -> None:
    """Two pixel for pixel, two saved as JPEG, one of those at half the size, with labels that go along."""
    held, trained = chosen(faces, "test", 4), chosen(faces, "train", 4)
    images, keypoints = list(faces.images), faces.table.keypoints.copy()  # type: ignore[call-overload]
    for row, twin in zip(held, trained, strict=True):
        images[twin], keypoints[twin] = images[row], keypoints[row]
    images[trained[2]] = as_jpeg(images[held[2]], 40)
    images[trained[3]] = as_jpeg(cv2.resize(images[held[3]], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), 80)
    keypoints[trained[3]] = (keypoints[held[3]] + 0.5) / 2 - 0.5
    found = named(checks.examine(replace(with_table(faces, keypoints=keypoints), images=images)))
    assert found.keys() == {"identical", "similar"}
    assert found["identical"].exclude == tuple(sorted(trained[:2]))
    assert found["similar"].exclude == ()
    pairs = zip(held, trained, strict=True)
    shown = [found[name].rows[i : i + 2] for name in ("identical", "similar") for i in (0, 2)]
    assert sorted(shown) == sorted(pairs)
    assert found["similar"].figures["of_other_names"] == 2


def as_jpeg(image: Image, quality: int) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def without_images(count: int, shares: tuple[float, float, float]) -> Faces:
    """Faces of two subjects in random splits, some in none."""
    rng = np.random.default_rng(0)
    table = Annotations(
        schema=IBUG68,
        paths=np.array([f"{i}.png" for i in range(count)]),
        images=np.arange(count),
        keypoints=np.zeros((count, 68, 2), np.float32),
        visible=np.ones((count, 68), bool),
        subjects=np.array([f"subject {i % 2}" for i in range(count)]),
        label_shift=np.zeros((count, 2), np.float32),
    )
    split = rng.choice(4, count, p=[*shares, 1 - sum(shares)])
    splits = {name: np.flatnonzero(split == number) for number, name in enumerate(("train", "val", "test"))}
    return Faces(table, splits, [], "none", ())  # type: ignore[arg-type]


def test_copies_are_those_of_a_comparison_of_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many that are equally far away, and pieces smaller than a split."""
    faces, rng = without_images(120, (0.5, 0.2, 0.2)), np.random.default_rng(1)
    content, shows = rng.integers(0, 60, 120), rng.random(120) < 0.9
    bits = rng.random((6, 143))[rng.integers(0, 6, 120)] + rng.normal(0, 0.03, (120, 143)) > 0.5
    monkeypatch.setattr(duplicates, "contents", lambda *_: content)
    monkeypatch.setattr(duplicates, "face_hashes", lambda *_: (bits, shows))
    monkeypatch.setattr(duplicates, "_PIECE", 7)
    order = [("test", "train"), ("test", "val"), ("val", "train")]
    pairs = [(one, twin) for held, low in order for one in faces.splits[held] for twin in faces.splits[low]]
    same = [(one, twin) for one, twin in pairs if content[one] == content[twin]]
    alike = [
        (int((bits[one] != bits[twin]).sum()), one, twin)
        for one, twin in pairs
        if content[one] != content[twin] and shows[one] and shows[twin]
    ]
    alike = sorted((found for found in alike if found[0] <= duplicates.ALIKE), key=lambda found: found[0])
    found = named(duplicates.repeated(faces))
    expected = {"identical": same, "similar": [(one, twin) for _, one, twin in alike]}
    assert 0 < len(same) < len(alike) < len(pairs)
    for name, listed in expected.items():
        nearest = dict(reversed(listed))
        firsts = list(dict.fromkeys(one for one, _ in listed))
        rows = [row for one in firsts for row in (one, nearest[one])]
        assert found[name].rows == tuple(rows[: len(found[name].rows)])
        assert (found[name].count, found[name].figures["pairs"]) == (len(firsts), len(listed))
    assert found["identical"].exclude == tuple(sorted({twin for _, twin in same}))
    assert found["similar"].figures["of_other_names"] == sum(
        (one - twin) % 2 for one, twin in dict(reversed(expected["similar"])).items()
    )


def test_a_scene_that_stands_still_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame looks like every other: one and a half million pairs."""
    faces = without_images(3_000, (0.6, 0.2, 0.2))
    monkeypatch.setattr(duplicates, "contents", lambda _, rows: rows)
    monkeypatch.setattr(duplicates, "face_hashes", lambda _, rows: (np.ones((3_000, 143), bool), np.ones(3_000, bool)))
    tracemalloc.start()
    (finding,) = duplicates.repeated(faces)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert finding.figures["pairs"] > 1e6
    assert peak < 50e6


def test_copies_within_a_split_are_no_leak(faces: Faces) -> None:
    one, other = chosen(faces, "train", 2)
    images, keypoints = faces.table.images.copy(), faces.table.keypoints.copy()
    images[other], keypoints[other] = images[one], keypoints[one]
    assert checks.examine(with_table(faces, images=images, keypoints=keypoints)) == []


def test_hashes_tell_faces_apart_but_not_their_copies(faces: Faces) -> None:
    rows = np.arange(FACES)
    bits, shows = perceptual_hash.face_hashes(faces, rows)
    noise = np.random.default_rng(0)
    noisy = [np.clip(p + noise.normal(0, 5, p.shape), 0, 255).astype(np.uint8) for p in faces.images]
    again, _ = perceptual_hash.face_hashes(replace(faces, images=noisy), rows)
    distance = (bits[:, None] != again).sum(axis=2)
    assert shows.all()
    assert distance.diagonal().max() <= duplicates.ALIKE
    others = faces.table.subjects[:, None] != faces.table.subjects
    assert distance[others].min() > duplicates.ALIKE


@pytest.mark.parametrize("share", [0.04, 0.07])
def test_a_grid_and_its_pitch(faces: Faces, share: float) -> None:
    """Every face on a quantization grid of its own phase, then cut to pixels of ten times the resolution."""
    rng, points = np.random.default_rng(1), faces.table.keypoints * 10
    pitch = share * IBUG68.interocular(points)[:, None, None]
    phase = rng.uniform(0, 1, (FACES, 1, 2)) * pitch
    on_grid = np.rint((points - phase) / pitch) * pitch + phase
    big = [cv2.resize(image, None, fx=2, fy=2) for image in faces.images]
    finding = quantization(replace(with_table(faces, keypoints=np.rint(on_grid).astype(np.float32)), images=big))
    assert finding is not None
    assert (finding.name, finding.severity, finding.figures["grid_pixels"]) == ("quantization", "warning", 1)
    assert finding.figures["pitch_share"] == pytest.approx(share, rel=0.02)
    moved_by = np.linalg.norm(np.rint(on_grid) - points, axis=2) / IBUG68.interocular(points)[:, None]
    assert finding.figures["floor_nme"] == pytest.approx(100 * moved_by.mean(), rel=0.05)


@pytest.mark.parametrize(("grid", "offset"), [(1.0, 0.0), (1.0, 0.5), (0.5, 0.0)])
def test_rounding_is_no_grid_of_its_own(faces: Faces, grid: float, offset: float) -> None:
    rounded = (np.rint(faces.table.keypoints / grid) * grid + offset).astype(np.float32)
    finding = quantization(with_table(faces, keypoints=rounded))
    assert finding is not None
    assert (finding.severity, finding.figures["grid_pixels"], finding.figures["pitch_share"]) == ("note", grid, 0)
    distance = IBUG68.interocular(rounded)
    assert finding.figures["floor_nme"] == pytest.approx(100 * (0.3826 * grid / distance).mean(), rel=0.01)


def test_points_between_pixels_are_on_no_grid(faces: Faces) -> None:
    assert quantization(faces) is None


def test_a_grid_is_found_where_the_source_took_a_shift_off(faces: Faces) -> None:
    published = np.rint(faces.table.keypoints).astype(np.float32)
    taken = np.full((FACES, 2), (0.3, 0.05), np.float32)
    finding = quantization(with_table(faces, keypoints=IBUG68.shifted(published, -taken), label_shift=taken))
    assert finding is not None
    assert finding.figures["grid_pixels"] == 1


def test_cell_error_is_the_mean_over_a_square() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.uniform(-0.5, 0.5, (2, 400_000, 2))
    assert cell_error(1.0) == pytest.approx((2**0.5 + np.arcsinh(1)) / 6, rel=2e-3)
    assert cell_error(3.0, 1.0) == pytest.approx(np.linalg.norm(3 * one + other, axis=1).mean(), rel=3e-3)


def test_swapped_collapsed_shuffled_and_unseen(faces: Faces) -> None:
    rng, keypoints, visible = np.random.default_rng(0), faces.table.keypoints.copy(), faces.table.visible.copy()
    swapped, collapsed, shuffled, unseen = [3, 50, 77, 120], [9, 10], [20, 99, 140], [5]
    keypoints[swapped] = keypoints[swapped][:, list(IBUG68.flip)]
    keypoints[collapsed, 10:30] = keypoints[collapsed, 10:11]
    for row in shuffled:
        keypoints[row] = keypoints[row, rng.permutation(68)]
    visible[unseen] = False
    found = named(checks.examine(with_table(faces, keypoints=keypoints, visible=visible)))
    excluded = {name: finding.exclude for name, finding in found.items() if finding.exclude}
    assert excluded == {
        "unseen": (5,),
        "collapsed": (9, 10),
        "swapped": tuple(swapped),
        "implausible": tuple(shuffled),
    }
    assert found["collapsed"].figures["most_at_one_place"] == 20
    assert set(found) - set(excluded) <= {"narrow"}  # shuffled eye corners may come together


def test_turned_faces_are_not_swapped(faces: Faces) -> None:
    """Upside down they are, and stay, what they were; only a mirror exchanges left and right."""
    keypoints = SIZE - 1 - faces.table.keypoints
    assert shapes.misshapen(with_table(faces, keypoints=keypoints), np.zeros(0, np.int64)) == []
    mean = shapes.usual_shapes(faces.table.keypoints).mean
    np.testing.assert_allclose(shapes.misfit(keypoints, mean), shapes.misfit(faces.table.keypoints, mean), rtol=1e-3)


def test_points_outside_the_image(faces: Faces) -> None:
    cut, lost = 4, 60
    shifts = {cut: faces.table.keypoints[cut, :, 0].min() + 5.5, lost: 500}
    points = np.stack([faces.table.keypoints[row] - (by, 0) for row, by in shifts.items()])
    found = named(checks.examine(moved(faces, [cut, lost], points)))
    finding = found["outside"]
    assert (finding.severity, finding.count, finding.rows, finding.exclude) == ("fault", 2, (lost, cut), (lost,))
    finding = named(checks.examine(moved(faces, [cut], points[:1])))["outside"]
    assert (finding.severity, finding.exclude) == ("note", ())
    assert finding.figures["farthest_pixels"] == pytest.approx(5, abs=1e-3)


def test_the_most_serious_comes_first(faces: Faces) -> None:
    keypoints, visible = faces.table.keypoints.copy(), faces.table.visible.copy()
    keypoints[[3, 50, 77]] = keypoints[[3, 50, 77]][:, list(IBUG68.flip)]
    keypoints[20] = keypoints[20][np.random.default_rng(0).permutation(68)]
    visible[5] = False
    found = checks.examine(with_table(faces, keypoints=keypoints, visible=visible))
    assert [(finding.severity, finding.count) for finding in found][:3] == [("fault", 3), ("fault", 1), ("warning", 1)]


def test_an_eye_at_one_place(faces: Faces) -> None:
    keypoints, eye = faces.table.keypoints.copy(), list(IBUG68.parts["right_eye"])
    keypoints[17, eye] = keypoints[17, eye].mean(axis=0)
    found = named(checks.examine(with_table(faces, keypoints=keypoints)))
    assert found["collapsed"].exclude == (17,)


def test_points_that_do_not_count_are_not_looked_at(faces: Faces) -> None:
    hidden = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    keypoints, visible = faces.table.keypoints.copy(), faces.table.visible.copy()
    keypoints[7, hidden], visible[7, hidden] = 1e5, False
    assert checks.examine(with_table(faces, keypoints=keypoints, visible=visible)) == []


def test_a_tiny_distance_between_the_eyes(faces: Faces) -> None:
    first, second = IBUG68.normaliser
    points = faces.table.keypoints[[30]].copy()
    points[0, second] = points[0, first] + (2, 0)
    found = named(checks.examine(moved(faces, [30], points)))
    assert found["narrow"].rows == (30,)


@dataclass(frozen=True)
class Compass:
    """A net that knows the truth about images which say where they are, and errs by as much in the image's frame.

    Each image holds its row, twice its x and twice its y in its three channels; from those of a crop the net fits
    how the crop lies on the image, be it mirrored or turned.
    """

    truth: Points
    pixels: tuple[float, float]  # error to the right and down, in pixels of the image
    share: tuple[float, float]  # and as shares of the inter-ocular distance
    schema: KeypointSchema = IBUG68

    @property
    def metadata(self) -> Metadata:
        return Metadata("compass", self.schema, 48, 3, Window(1.3, 0.0), None, {})

    def __call__(self, crops: Image) -> Points:
        return np.stack([self._answer(crop.astype(np.float64)) for crop in crops]).astype(np.float32)

    def _answer(self, crop: np.ndarray) -> np.ndarray:
        y, x = np.nonzero(crop[0] == crop[0].max())  # not where the image blends into black
        row = int(crop[0, y[0], x[0]]) - 90
        design = np.stack([crop[1, y, x], crop[2, y, x], np.ones(len(x))], axis=1)
        to_crop = np.linalg.lstsq(design, np.stack([x, y], axis=1), rcond=None)[0]
        points = 2 * self.truth[row].astype(np.float64) @ to_crop[:2] + to_crop[2]
        determinant = np.linalg.det(2 * to_crop[:2])
        if determinant < 0:
            points = points[list(IBUG68.flip)]
        error = np.array(self.pixels) + np.array(self.share) * IBUG68.interocular(self.truth[row])
        return points + abs(determinant) ** 0.5 * error


@pytest.fixture(scope="module")
def maps(faces: Faces) -> Faces:
    """Faces whose images are what `Compass` reads."""
    y, x = np.mgrid[:SIZE, :SIZE]
    images = [np.stack([np.full_like(x, row + 90), 2 * x, 2 * y], axis=2).astype(np.uint8) for row in range(FACES)]
    return replace(faces, images=images)


def shifted(faces: Faces, right: tuple[float, float], down: tuple[float, float]) -> Faces:
    """The labels moved by pixels and by a share of the inter-ocular distance."""
    distance = IBUG68.interocular(faces.table.keypoints)
    moves = np.stack([pixels + share * distance for pixels, share in (right, down)], axis=1)
    return with_table(faces, keypoints=(faces.table.keypoints + moves[:, None]).astype(np.float32))


@pytest.mark.parametrize(("right", "down"), [((0.8, 0.02), (-0.5, -0.03)), ((-1.0, 0.0), (0.0, 0.04))])
def test_a_shift_of_all_labels(maps: Faces, right: tuple[float, float], down: tuple[float, float]) -> None:
    """The net has learned from labels that lie beside the truth, and has learned just that."""
    net = Compass(maps.table.keypoints, *zip(right, down, strict=True))
    finding = shift(shifted(maps, right, down), net, {*maps.table.subjects})
    assert finding is not None
    assert (finding.severity, finding.count) == ("warning", FACES)
    expected = {"right": right, "learned_right": right, "turned_right": right, "learned_down": down}
    for name, (pixels, share) in expected.items():
        assert finding.figures[f"{name}_pixels"] == pytest.approx(pixels, abs=0.15)
        assert finding.figures[f"{name}_share"] == pytest.approx(share, abs=0.004)


def test_a_net_of_mirrored_copies_shows_the_labels_shift_all_the_same(maps: Faces) -> None:
    finding = shift(shifted(maps, (0.5, 0.03), (0, 0)), Compass(maps.table.keypoints, (0, 0), (0, 0)), ())
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.figures["right_share"] == pytest.approx(0.03, abs=0.004)
    assert finding.figures["learned_right_median"] == pytest.approx(0, abs=0.03)


def test_a_checkpoint_predicts_mirrored_images_too(faces: Faces) -> None:
    """PyTorch takes no arrays with negative strides, which mirrored views have."""
    few = replace(faces, table=faces.table.take(np.arange(40)))
    finding = shift(few, fkd.load(device="cpu").net, ())
    assert finding is not None
    assert (finding.severity, finding.total) == ("note", 40)


def test_labels_in_their_place(maps: Faces) -> None:
    finding = shift(maps, Compass(maps.table.keypoints, (0, 0), (0, 0)), {*maps.table.subjects})
    assert finding is not None
    assert (finding.severity, finding.count, finding.rows) == ("note", 0, ())


def test_what_a_net_learned_from_other_labels_is_not_said_of_these(maps: Faces) -> None:
    net = Compass(maps.table.keypoints, (0, 0), (0.0, 0.04))
    own, others = shift(maps, net, {*maps.table.subjects}), shift(maps, net, {"somebody else"})
    assert own is not None
    assert own.severity == "warning"
    assert others is not None
    assert (others.severity, others.count, others.rows) == ("note", 0, ())
    assert "from other labels" in others.text


def test_standard_errors_are_those_of_subjects() -> None:
    """Against lines through many draws of the same faces, with errors that a subject's faces share."""
    rng = np.random.default_rng(0)
    subjects, distance = np.repeat(np.arange(60), 5), rng.uniform(20, 80, 300)
    draws = [1 + 0.02 * distance + rng.normal(0, 1, 60)[subjects] + rng.normal(0, 0.3, 300) for _ in range(300)]
    lines = np.array([line(draw, distance, subjects) for draw in draws])
    np.testing.assert_allclose(lines[:, :3].mean(axis=0), [1, 0.02, 1 + 0.02 * np.median(distance)], atol=0.02)
    np.testing.assert_allclose(lines[:, 3:].mean(axis=0), lines[:, :3].std(axis=0), rtol=0.15)


def test_labels_that_a_net_contradicts(maps: Faces) -> None:
    """The net is wrong by a few percent on every face, in ways of its own; three labels are wrong by much more."""
    truth = maps.table.keypoints
    size = IBUG68.interocular(truth)[:, None, None]
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, truth.shape) * 0.03 * size * rng.lognormal(0, 0.3, (FACES, 1, 1))
    net = Compass((truth + noise).astype(np.float32), (0, 0), (0, 0))
    wrong = [8, 33, 100]
    subjects = maps.table.subjects[[0]].tolist()
    bad = moved(maps, wrong, truth[wrong] + 0.4 * size[wrong] * [1, 0])
    finding = named(checks.examine(bad, net, trained=subjects))["disagreement"]
    assert set(finding.rows) == set(wrong)
    assert finding.figures["seen_share"] == pytest.approx(1 / 40)
    assert "error on them is too low" in finding.text
    assert "disagreement" not in named(checks.examine(maps, net))


def test_a_net_of_other_points_is_refused(faces: Faces) -> None:
    other = replace(IBUG68, name="others")
    with pytest.raises(UserError, match=r"expected a net for the 68 points ibug68 .* found one for 68 points others"):
        checks.examine(faces, Compass(faces.table.keypoints, (0, 0), (0, 0), other))


def test_images_without_a_row(faces: Faces, tmp_path: Path) -> None:
    table = replace(faces.table, paths=np.array([f"all/{row}.jpg" for row in range(FACES)]))
    (tmp_path / "all").mkdir()
    for name in [*table.paths, "all/new.PNG", "top.jpeg", "all/notes.txt"]:
        (tmp_path / name).touch()
    (finding,) = checks.examine(replace(faces, table=table), root=tmp_path)
    assert (finding.name, finding.severity, finding.count, finding.total) == ("unannotated", "note", 2, FACES + 2)
    assert checks.examine(faces, root=tmp_path) == []  # its names are no paths there


def test_the_gravest_come_first(faces: Faces) -> None:
    keypoints = np.rint(faces.table.keypoints).astype(np.float32)
    keypoints[3] = keypoints[3, list(IBUG68.flip)]
    severities = [finding.severity for finding in checks.examine(with_table(faces, keypoints=keypoints))]
    assert severities == ["fault", "note"]


def test_of_a_large_set_the_same_samples_are_looked_at(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_MOST", 50)
    images = np.zeros_like(faces.table.images)  # one image for everybody
    first, again = (duplicates.repeated(with_table(faces, images=images))[0] for _ in range(2))
    assert first == again
    assert "50 faces drawn at random" in first.text
    assert first.total < 50
