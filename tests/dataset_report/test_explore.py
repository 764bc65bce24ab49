"""What is said about a data set, against plain loops over its table; the list of faces to leave out."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fkd import dataset_report
from fkd.data.face_data import Faces
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.checks.sampling import point_boxes, sample
from fkd.dataset_report.exclusions import write_exclusions
from fkd.dataset_report.measurements import measure, quantities
from fkd.dataset_report.population import population
from fkd.dataset_report.shapes import Shapes, shapes
from fkd.head_pose import head_pose
from fkd.io import images
from fkd.schema import IBUG68, KeypointSchema
from fkd.synthetic import face
from fkd.types import Annotations

SUBJECTS, IMAGES = 5, 4
SWAPPED = Finding(
    "swapped", "Left and right\nare swapped", "fault", 2, 40, "Two <b>faces</b>.", "Mend them.", (0, 7), (7, 0)
)
SMALL = Finding("small", "Small faces", "note", 9, 40, "Nine are small.", "Know it.", (3, 4, 5), (7, 12))


@pytest.fixture(scope="module")
def drawn() -> Faces:
    """Twenty images, two faces on every other one, some points hidden; two images are in two splits."""
    rng = np.random.default_rng(0)
    photos, rows = [], []
    for subject in range(SUBJECTS):
        for frame in range(IMAGES):
            image, points = face(1, subject, frame, 128)
            number, count = len(photos), 1 + frame % 2
            photos.append(np.concatenate([image] * count, axis=1) if count > 1 else image)
            rows += [(number, points + np.array([128 * i, 0]), f"subject {subject}") for i in range(count)]
    numbers, keypoints, subjects = zip(*rows, strict=True)
    visible = rng.random((len(rows), 68)) < 0.995
    visible[::5, :17] = False  # the jaw, which makes most of a box
    table = Annotations(
        schema=IBUG68,
        paths=np.array([f"set/{number:02}.png" for number in numbers]),
        images=np.array(numbers),
        keypoints=np.array(keypoints, np.float32),
        visible=visible,
        subjects=np.array(subjects),
        label_shift=np.zeros((len(rows), 2), np.float32),
    )
    order = rng.permutation(len(rows))
    splits = {"train": np.sort(order[:16]), "val": np.sort(order[16:22]), "test": np.sort(order[22:])}
    return Faces(table, splits, photos, "drawn", ("a remark",))  # type: ignore[arg-type]


def test_who_and_what_is_counted_as_a_loop_counts(drawn: Faces) -> None:
    found, table = population(drawn), drawn.table
    parts = {"all": range(len(table)), **drawn.splits}
    subjects = {name: {str(table.subjects[row]) for row in rows} for name, rows in parts.items()}
    shown = {name: {str(table.paths[row]) for row in rows} for name, rows in parts.items()}
    for name, rows in parts.items():
        assert found.counts[name] == {
            "faces": len(rows),
            "images": len(shown[name]),
            "subjects": len(subjects[name]),
        }
    for (a, b), shared in found.shared.items():
        assert shared == {"images": len(shown[a] & shown[b]), "subjects": len(subjects[a] & subjects[b])}
    assert set(found.shared) == {("train", "val"), ("train", "test"), ("val", "test")}
    pairs = {(str(subject), str(path)) for subject, path in zip(table.subjects, table.paths, strict=True)}
    assert dict(zip(found.names.tolist(), found.images_of.tolist(), strict=True)) == Counter(s for s, _ in pairs)
    for point in (0, 30, 67):
        assert found.visible[point] == pytest.approx(sum(table.visible[:, point]) / len(table))


def test_measures_are_those_of_a_loop_over_the_table(drawn: Faces) -> None:
    table = drawn.table
    boxes = point_boxes(table)
    found = quantities(drawn, boxes, measure(drawn, np.arange(len(table)), boxes))
    expected: dict[str, list[float]] = {
        "eye_distance": [],
        "box": [],
        "box_share": [],
        "brightness": [],
        "contrast": [],
    }
    for row in range(len(table)):
        points = [table.keypoints[row, k].astype(float) for k in range(68) if table.visible[row, k]]
        x, y = [p[0] for p in points], [p[1] for p in points]
        photo = drawn.images[int(table.images[row])]
        wide, high = max(x) - min(x), max(y) - min(y)
        if table.visible[row, 36] and table.visible[row, 45]:
            expected["eye_distance"].append(math.dist(table.keypoints[row, 36], table.keypoints[row, 45]))
        expected["box"].append(max(wide, high))
        expected["box_share"].append(100 * wide * high / (photo.shape[0] * photo.shape[1]))
        part = photo[max(round(min(y)), 0) : round(max(y)) + 1, max(round(min(x)), 0) : round(max(x)) + 1]
        grey = part.astype(float) @ (0.299, 0.587, 0.114)
        expected["brightness"].append(grey.mean())
        expected["contrast"].append(grey.std())
    for name, values in expected.items():
        tolerance = 0.5 if name in ("brightness", "contrast") else 1e-3  # grey pixels are whole numbers
        np.testing.assert_allclose(found[name].values, values, atol=tolerance, err_msg=name)
    assert sorted(found["width"].values) == sorted(photo.shape[1] for photo in drawn.images)  # type: ignore[attr-defined]
    whole = table.visible.all(axis=1)
    assert 0 < whole.sum() < len(table)
    np.testing.assert_allclose(found["yaw"].values, head_pose(table.keypoints[whole])[:, 0])
    said = found["box"].to_json()
    ordered = sorted(expected["box"])
    assert said["count"] == len(table)
    assert (said["percentiles"]["0"], said["percentiles"]["100"]) == pytest.approx((ordered[0], ordered[-1]), abs=1e-3)
    assert said["mean"] == pytest.approx(sum(ordered) / len(ordered), abs=1e-3)


def kabsch(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points laid on a target by rotation and scale (Umeyama, PAMI 13, 1991), both centred."""
    points, target = points - points.mean(axis=0), target - target.mean(axis=0)
    u, s, vt = np.linalg.svd(target.T @ points)
    sign = np.diag([1, np.sign(np.linalg.det(u @ vt))])
    return (s @ np.diag(sign)) / (points**2).sum() * points @ (u @ sign @ vt).T


def test_shapes_are_those_of_another_procrustes_analysis(drawn: Faces) -> None:
    found = shapes(drawn, np.arange(len(drawn.table)))
    assert isinstance(found, Shapes)
    whole = drawn.table.keypoints[drawn.table.visible.all(axis=1)].astype(float)
    assert found.faces == len(whole)
    eyes = found.mean[36:42].mean(axis=0), found.mean[42:48].mean(axis=0)
    assert eyes[0][1] == pytest.approx(eyes[1][1], abs=1e-5)
    assert eyes[0][0] < eyes[1][0]
    assert math.dist(found.mean[36], found.mean[45]) == pytest.approx(1, abs=1e-5)
    laid = np.stack([kabsch(points, found.mean) for points in whole])
    laid /= (laid.mean(axis=0) * found.mean).sum() / (found.mean**2).sum()  # least squares shrink what differs
    differences = (laid - found.mean).reshape(len(whole), -1)
    np.testing.assert_allclose(laid.mean(axis=0), found.mean, atol=1e-3)
    spread = [math.sqrt(np.mean([math.dist(one[k], found.mean[k]) ** 2 for one in laid])) for k in range(68)]
    np.testing.assert_allclose(found.spread, spread, rtol=1e-3)
    strengths = np.linalg.eigvalsh(differences.T @ differences / len(whole))[::-1]
    np.testing.assert_allclose(found.explained, (strengths / strengths.sum())[:4], rtol=1e-3)
    np.testing.assert_allclose((found.modes**2).sum(axis=(1, 2)), strengths[:4], rtol=1e-3)


def test_a_sample_is_seeded_and_all_of_a_small_set(drawn: Faces) -> None:
    rows = np.arange(len(drawn.table))
    np.testing.assert_array_equal(sample(rows, 1000, 0), rows)
    first = sample(rows, 10, 0)
    assert len(set(first.tolist())) == 10
    np.testing.assert_array_equal(first, sample(rows, 10, 0))
    assert first.tolist() != sample(rows, 10, 1).tolist()


def test_the_list_leaves_validation_and_test_alone(drawn: Faces, tmp_path: Path) -> None:
    path, held = tmp_path / "exclude.txt", (7,)
    rest = np.setdiff1d(np.arange(len(drawn.table)), held)
    write_exclusions(path, replace(drawn, splits={"train": rest, "val": held, "test": held}), [SWAPPED, SMALL])
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [line.partition("\t")[0] for line in lines] == [f'"{drawn.table.paths[row]}"' for row in (0, 12)]


def test_the_list_names_each_face_once_and_brings_its_row_back(drawn: Faces, tmp_path: Path) -> None:
    path, table = tmp_path / "exclude.txt", drawn.table
    write_exclusions(path, replace(drawn, splits=drawn.splits | {"train": np.arange(len(table))}), [SWAPPED, SMALL])
    reasons, rows = [], []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            reasons.append((line, len(rows)))
            continue
        name, _, place = line.partition("\t")
        of_image = [row for row in range(len(table)) if f'"{table.paths[row]}"' == name]
        assert bool(place) == (len(of_image) > 1)
        rows.append(of_image[int(place or 0)])
    assert rows == [7, 0, 12]
    assert reasons[1:] == [("# Left and right are swapped", 0), ("# Small faces", 2)]


def one(faces: Faces, row: int) -> Faces:
    return replace(
        faces,
        table=faces.table.take(np.array([row])),
        splits={"train": np.array([0])} | dict.fromkeys(("val", "test"), np.array([], int)),
    )


def test_a_set_of_one_face_has_all_but_a_spread(drawn: Faces, tmp_path: Path) -> None:
    found = dataset_report.survey(one(drawn, 3), [], True, True, 10, 0)
    dataset_report.write(tmp_path, found, 4, 0)
    said = found.to_json()
    assert said["counts"]["all"] == {"faces": 1, "images": 1, "subjects": 1}
    assert said["shape"] is None
    assert said["left_out"]["shape"].startswith("expected two faces or more")
    assert "expected two faces or more" in (tmp_path / "report.html").read_text()
    assert found.exclusion_line("exclude.txt") == "no training face"


def test_faces_without_points_or_pose_are_no_obstacle(drawn: Faces, tmp_path: Path) -> None:
    """Of one face no point is visible, those of another are in one place, a third lies outside of its image."""
    schema = KeypointSchema("three", ("r", "l", "m"), {"all": (0, 1, 2)}, (1, 0, 2), ((0, 2),), (0, 1), ((0,), (1,)))
    keypoints = drawn.table.keypoints[:, [36, 45, 57]].copy()
    visible = np.ones(keypoints.shape[:2], bool)
    visible[0] = False
    keypoints[1] = keypoints[1, 0]
    keypoints[2] += 1000
    faces = replace(drawn, table=replace(drawn.table, schema=schema, keypoints=keypoints, visible=visible))
    found = dataset_report.survey(faces, [replace(SWAPPED, rows=(0, 1, 2))], True, True, 100, 0)
    dataset_report.write(tmp_path, found, 4, 0)
    said = found.to_json()
    assert said["shape"]["faces"] == len(keypoints) - 2
    assert said["quantities"]["brightness"]["count"] == len(keypoints) - 2
    assert "68 points" in said["left_out"]["pose"]
    assert not (tmp_path / "turned.png").exists()
    assert images.read(tmp_path / "finding_swapped.png", 3).shape[:2] == (224 + 16, 3 * 226 - 2)
