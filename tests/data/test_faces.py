from dataclasses import replace
from pathlib import Path

import numpy as np

from fkd.data.faces import Faces
from tests.data.test_udacity import load


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
    people = np.array(["somebody else"] * len(faces.table))
    assert differ(replace(faces, table=replace(faces.table, subjects=people))) == set(first)
