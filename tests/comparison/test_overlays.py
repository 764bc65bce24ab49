"""The worst faces are shown on the crops that the runs have kept."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from fkd.comparison import overlays, tested
from fkd.comparison.tested import FaceErrors
from fkd.data.face_data import Faces
from fkd.data.sources.udacity import udacity
from fkd.evaluation.evaluate import Scores
from fkd.evaluation.report import save_faces
from fkd.geometry import Crop, adjust, square_around
from fkd.visualization.draw import PREDICTED, TARGET
from tests.comparison.folders import write_run
from tests.comparison.test_significance import annotations


@pytest.fixture
def faces(faces_root: Path, tmp_path: Path) -> Faces:
    options = {"split": "official", "val_share": 0.3, "test_share": 0.3, "seed": 0, "label_shift": False, "channels": 1}
    return udacity(root=str(faces_root), cache_dir=str(tmp_path / "cache"), exclude=None, **options)


def read(folder: Path) -> FaceErrors:
    found = tested.read(folder)
    assert found is not None
    return found


def decoded(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def share(image: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(image.astype(int) - colour).max(axis=2) < 90).mean())


def saved(folder: Path, faces: Faces, noise: int, missed: tuple[int, ...] = ()) -> Path:
    """What the scoring of a net leaves whose points are off by some pixels."""
    table, rng = faces.subset("test"), np.random.default_rng(noise)
    write_run(folder)
    found = np.ones(len(table), bool)
    found[list(missed)] = False
    preds = (
        table.keypoints + rng.normal(0, 4, table.keypoints.shape) * rng.uniform(0.8, 2, (len(table), 1, 1))
    ).astype("f4")
    errors = np.linalg.norm(preds - table.keypoints, axis=2).mean(axis=1) / table.schema.interocular(table.keypoints)
    errors = np.where(found, 100 * errors, 100).astype(np.float32)
    windows = square_around(table.keypoints)
    save_faces(folder, Scores({}, {}, windows, found, preds, table.keypoints, errors, errors), faces, "test")
    return folder


def test_the_worst_on_average_come_first_on_their_own_pixels_with_both_kinds_of_points(
    tmp_path: Path, faces: Faces
) -> None:
    table = faces.subset("test")
    runs = [read(saved(tmp_path / str(noise), faces, noise)) for noise in (1, 2)]
    order = np.argsort(-(runs[0].nme + runs[1].nme))
    rows = overlays.worst(runs, 3)
    assert [row.name for row in rows] == table.paths[order[:3]].tolist()
    for row, face in zip(rows, order, strict=False):
        assert [cell.caption for cell in row.cells] == [f"{run.nme[face]:.1f} %" for run in runs]
        crop = Crop.from_box(adjust(square_around(table.keypoints[face]), 1.5), 112)
        photo = cv2.resize(crop.image(faces.images[int(table.images[face])]), (224, 224))
        image = decoded(row.cells[0].image)
        assert share(image, TARGET) > 0.002
        assert share(image, PREDICTED) > 0.002
        plain = np.ptp(image, axis=2) < 12  # pixels without points
        assert np.median(np.abs(image[..., 0].astype(int) - photo)[plain]) < 6


def test_one_runs_crop_of_a_face_is_enough_and_faces_without_any_are_passed_over(tmp_path: Path) -> None:
    table = annotations(subjects=3, frames=4)
    kept = {"a": (0, 1, 2), "b": (2, 3, 4)}
    runs = [read(write_run(tmp_path / n, faces=table, noise=i, crops=kept[n])) for i, n in enumerate(kept)]
    mean = runs[0].nme + runs[1].nme
    rows = overlays.worst(runs, 100)
    assert [row.name for row in rows] == [runs[0].keys[face] for face in sorted(range(5), key=lambda face: -mean[face])]
    for row in rows:
        number = runs[0].keys.tolist().index(row.name)
        for cell in row.cells:
            assert abs(float(np.median(decoded(cell.image))) - (40 + 5 * number)) < 4


def test_runs_without_crops_say_so(tmp_path: Path) -> None:
    run = read(write_run(tmp_path / "a", faces=annotations(subjects=2, frames=2)))
    with pytest.raises(ValueError, match=r"kept none in test_faces\.jpg"):
        overlays.worst([run], 2)


def test_a_damaged_strip_of_one_run_costs_its_crops_only(tmp_path: Path) -> None:
    table = annotations(subjects=2, frames=2)
    runs = [read(write_run(tmp_path / name, faces=table, crops=(0, 1))) for name in "ab"]
    for content in (b"", b"no image", (tmp_path / "b" / "test_faces.jpg").read_bytes()[:300]):
        (tmp_path / "a" / "test_faces.jpg").write_bytes(content)
        assert len(overlays.worst(runs, 9)) == 2
        with pytest.raises(ValueError, match=r"a: test_faces\.jpg: "):
            overlays.worst(runs[:1], 9)
    (tmp_path / "a" / "test_faces.jpg").unlink()
    (tmp_path / "a" / "test_faces.jpg").symlink_to(tmp_path / "b" / "test_faces.jpg")
    with pytest.raises(ValueError, match="a link out of it"):
        overlays.worst(runs[:1], 9)


def test_nothing_of_a_runs_config_is_resolved_created_or_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "the-secret")
    source = {
        "_target_": "fkd.data.sources.udacity.udacity",
        "root": "${oc.env:A_SECRET}",
        "cache_dir": str(tmp_path / "made"),
        "subject": "(a+)+$",
        "subjects": 100_000_000,
    }
    folder = write_run(tmp_path / "a", faces=annotations(subjects=2, frames=2), crops=(0,), source=source)
    rows = overlays.worst([read(folder)], 2)
    assert len(rows) == 1
    assert "the-secret" not in str(rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_run_keeps_crops_of_the_worst_it_found_and_of_missed_ones(
    tmp_path: Path, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fkd.evaluation.report._CROPS", 2)
    run = read(saved(tmp_path / "a", faces, 1, missed=(0, 1, 2)))
    found = np.flatnonzero(~run.missed)
    assert run.shown() == [*found[np.argsort(-run.nme[found])][:2], 0, 1]
    rows = overlays.worst([run], 9)  # a face that all runs missed compares nothing
    assert [row.name for row in rows] == run.keys[run.shown()[:2]].tolist()
    other = read(saved(tmp_path / "b", faces, 2))
    captions = {row.name: [cell.caption for cell in row.cells] for row in overlays.worst([run, other], 9)}
    assert captions[run.keys[0]] == ["missed", f"{other.nme[0]:.1f} %"]


def test_points_that_nobody_labelled_are_not_drawn_as_the_truth(tmp_path: Path) -> None:
    table = annotations(subjects=2, frames=2)
    folder = write_run(tmp_path / "a", faces=table, crops=(0,))
    whole = overlays.worst([read(folder)], 1)
    with np.load(folder / "test_faces.npz") as file:
        arrays = dict(file)
    arrays["visible"] = np.zeros_like(arrays["visible"])
    np.savez_compressed(folder / "test_faces.npz", **arrays)
    hidden = overlays.worst([read(folder)], 1)
    assert share(decoded(whole[0].cells[0].image), TARGET) > 0.002
    assert share(decoded(hidden[0].cells[0].image), TARGET) == 0
