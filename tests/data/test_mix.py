"""Faces of another source in the training split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fkd.data.faces import Faces
from fkd.data.mix import beside
from fkd.data.synthetic import synthetic
from fkd.errors import UserError


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Faces, Faces]:
    def draw(seed: int, subjects: int) -> Faces:
        return synthetic(str(tmp_path), subjects, 2, 96, seed, 0.2, 0.2, channels=1)

    return draw(0, 6), draw(1, 4)


def test_all_faces_of_the_other_source_are_trained_on(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    both = beside(first, second)
    added = both.splits["train"][len(first.splits["train"]) :]
    assert len(both.table) == len(first.table) + len(second.table) == len(both.images)
    assert np.array_equal(both.splits["train"][: len(first.splits["train"])], first.splits["train"])
    for row, other in zip(added, range(len(second.table)), strict=True):
        picture = second.images[int(second.table.images[other])]
        assert np.array_equal(both.images[int(both.table.images[row])], picture)
        assert np.array_equal(both.table.keypoints[row], second.table.keypoints[other])
    for row in range(len(first.table)):
        assert np.array_equal(both.images[int(both.table.images[row])], first.images[int(first.table.images[row])])


def test_validation_and_test_stay_as_they_are(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    before, after = first.fingerprints(), beside(first, second).fingerprints()
    assert (before["val"], before["test"]) == (after["val"], after["test"])
    assert before["train"] != after["train"]


def test_people_of_the_two_are_never_taken_for_one(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    assert set(first.table.subjects) & set(second.table.subjects)
    both = beside(first, second).table.subjects
    assert not set(both[: len(first.table)]) & set(both[len(first.table) :])


def test_points_of_another_meaning_are_refused(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    schema = replace(second.table.schema, name="other")
    other = replace(second, table=replace(second.table, schema=schema))
    with pytest.raises(UserError, match="mix: expected faces with the points of data=synthetic, ibug68, found other"):
        beside(first, other)
