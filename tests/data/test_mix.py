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


def test_people_keep_their_names_and_are_counted_once(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    both = beside(first, second)
    assert both.table.subjects.tolist() == [*first.table.subjects.tolist(), *second.table.subjects.tolist()]
    train = len(first.splits["train"]) + 8
    assert both.remarks[0].startswith(f"20 faces ({train} train, ")
    assert "of 10 people; test shares none" in both.remarks[0]
    assert both.remarks[1:] == (*first.remarks[1:], "8 faces of synthetic are trained on, too")


@pytest.mark.parametrize("split", ["val", "test"])
def test_nobody_who_is_mixed_in_is_validated_or_tested_on(sources: tuple[Faces, Faces], split: str) -> None:
    first, _ = sources
    held = first.subset(split).subjects
    other = replace(first, table=first.table.take(first.splits[split]), name="other")
    message = rf"^mix: expected nobody of data=synthetic's val and test splits, found 1 .* in other \({held[0]}, "
    with pytest.raises(UserError, match=message):
        beside(first, other)


def test_people_of_the_training_split_alone_can_be_mixed_in(sources: tuple[Faces, Faces]) -> None:
    first, _ = sources
    known = first.subset("train")
    both = beside(first, replace(first, table=known))
    assert len(both.splits["train"]) == 2 * len(known)
    assert f"of {len(set(first.table.subjects))} people; test shares none" in both.remarks[0]


def test_points_of_another_meaning_are_refused(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    schema = replace(second.table.schema, name="other")
    other = replace(second, table=replace(second.table, schema=schema))
    with pytest.raises(UserError, match="mix: expected faces with the points of data=synthetic, ibug68, found other"):
        beside(first, other)
