import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fkd.data.face_data import Faces
from fkd.schema import IBUG68
from fkd.types import Annotations
from tests.data.sources.test_udacity import load
from tests.data.test_datamodule import made_up


def test_fingerprints_tell_whether_the_very_same_faces_are_in_a_split(faces_root: Path, tmp_path: Path) -> None:
    faces = load(faces_root, tmp_path)
    first = faces.fingerprints()
    assert load(faces_root, tmp_path / "other").fingerprints() == first

    def differ(other: Faces) -> set[str]:
        now = other.fingerprints()
        return {split for split in first if now[split] != first[split]}

    assert differ(load(faces_root, tmp_path, val_share=0.5)) == {"train", "val"}  # of who is held out
    fewer = replace(faces, splits={**faces.splits, "test": faces.splits["test"][:-1]})
    assert differ(fewer) == {"test"}
    keypoints = faces.table.keypoints.copy()
    keypoints[faces.splits["val"][0], 3, 1] += 1
    assert differ(replace(faces, table=replace(faces.table, keypoints=keypoints))) == {"val"}
    subjects = np.array(["somebody else"] * len(faces.table))
    assert differ(replace(faces, table=replace(faces.table, subjects=subjects))) == set(first)


def test_a_fingerprint_is_the_digest_of_all_keypoints_and_then_all_names() -> None:
    """However many pieces it is made in: runs of every age must stay comparable."""
    faces = made_up(5_000)
    table = faces.subset("train")
    content = b"\0".join([table.keypoints.tobytes(), *(name.encode() for name in table.subjects)])
    assert faces.fingerprints()["train"] == hashlib.sha256(content).hexdigest()[:16]


def test_a_sample_is_all_of_a_split_until_there_are_too_many() -> None:
    faces = made_up(100)
    for split in faces.splits:
        np.testing.assert_array_equal(faces.sample(split), faces.subset(split).keypoints)


def test_a_sample_of_many_faces_is_evenly_spread_from_the_first_to_the_last() -> None:
    many = replace(made_up(10), splits={"train": np.arange(70_001)})
    numbers = np.broadcast_to(np.arange(70_001, dtype=np.float32)[:, None, None], (70_001, 68, 2))
    table = replace(
        many.table,
        **{name: np.zeros(70_001, np.int64) for name in ("paths", "images", "subjects", "image_hashes")},
        keypoints=numbers,
        visible=np.broadcast_to(True, (70_001, 68)),
        label_shift=np.zeros((70_001, 2), np.float32),
    )
    taken = replace(many, table=table).sample("train")[:, 0, 0]
    assert len(taken) == 20_000
    assert (taken[0], taken[-1]) == (0, 70_000)
    assert set(np.diff(taken)) == {3, 4}


@pytest.mark.parametrize("whole", [99, 100])
def test_a_sample_is_of_faces_all_of_whose_points_are_known_where_there_are_enough(whole: int) -> None:
    rows = 150
    names, visible = np.array([str(row) for row in range(rows)]), np.ones((rows, 68), bool)
    visible[whole:, 3] = False
    points = np.arange(rows, dtype=np.float32)[:, None, None] * np.ones((68, 2), np.float32)
    table = Annotations(IBUG68, names, np.arange(rows), points, visible, names, np.zeros((rows, 2), np.float32))
    taken = Faces(table, {"train": np.arange(rows)}, [], "many", ()).sample("train")[:, 0, 0]
    np.testing.assert_array_equal(taken, np.arange(whole if whole == 100 else rows))
