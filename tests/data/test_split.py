import hashlib
from collections import Counter

import numpy as np
import pytest

from fkd.data.split import by_subject, shared_subjects, shares
from fkd.errors import UserError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


@pytest.fixture
def subjects() -> np.ndarray:
    """2,000 rows of 300 subjects, from 1 to 20 each, mixed."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.arange(300), rng.choice(300, 1700, p=(weights := rng.random(300)) / weights.sum())])
    return np.array([f"person {i}" for i in rng.permutation(rows)])


@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_in_one_split_and_every_subject_too(subjects, seed):
    splits = by_subject(subjects, SHARES, seed)
    assert list(splits) == list(SHARES)
    assert sorted(np.concatenate([*splits.values()])) == list(range(len(subjects)))
    assert sum(len(set(subjects[rows])) for rows in splits.values()) == len(set(subjects))
    for rows in splits.values():
        assert rows.dtype == np.int64
        assert np.all(np.diff(rows) > 0)


@pytest.mark.parametrize("seed", range(5))
def test_sizes_miss_the_shares_by_less_than_one_subject(subjects, seed):
    largest = max(Counter(subjects.tolist()).values())
    for split, rows in by_subject(subjects, SHARES, seed).items():
        assert abs(len(rows) - SHARES[split] * len(subjects)) <= largest


def test_frequent_subjects_are_held_out_as_often_as_others(subjects):
    counts = Counter(subjects.tolist())
    frequent = {name for name, count in counts.items() if count > 8}
    held = [len(frequent & set(subjects[by_subject(subjects, SHARES, seed)["test"]])) for seed in range(40)]
    assert np.mean(held) == pytest.approx(0.15 * len(frequent), rel=0.25)


def test_a_seed_stands_for_one_split_whatever_the_order_of_rows(subjects):
    def held(rows_of: np.ndarray, seed: int) -> dict[str, set[str]]:
        return {split: set(rows_of[rows]) for split, rows in by_subject(rows_of, SHARES, seed).items()}

    assert held(subjects, 3) == held(subjects[::-1], 3)
    assert held(subjects, 3) != held(subjects, 4)


def test_the_split_is_the_same_on_every_machine():
    """The digest of the membership, as it was when this was written."""
    subjects = np.array([f"person {i % 50}" for i in range(200)])
    splits = by_subject(subjects, SHARES, 0)
    digest = hashlib.sha256(repr({split: rows.tolist() for split, rows in splits.items()}).encode()).hexdigest()
    assert digest[:16] == "08e4aa1ad139a719"


def test_few_subjects_still_give_every_split_one():
    subjects = np.array(["a"] * 50 + ["b"] * 2 + ["c"])
    for seed in range(10):
        assert sorted(len(set(subjects[rows])) for rows in by_subject(subjects, SHARES, seed).values()) == [1, 1, 1]


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "a"]])
def test_too_few_subjects_are_an_error(names):
    with pytest.raises(UserError, match=r"data\.split: expected at least 3 subjects") as error:
        by_subject(np.array(names, str), SHARES, 0)
    assert f"found {len(set(names))}" in str(error.value)


def test_a_seed_is_a_whole_number(subjects):
    with pytest.raises(UserError, match=r"data\.split_seed=x"):
        by_subject(subjects, SHARES, "x")


def test_shares_leave_the_rest_for_training():
    assert shares(val=0.1, test=0.25) == pytest.approx({"train": 0.65, "val": 0.1, "test": 0.25})
    assert list(shares(val=0.1)) == ["train", "val"]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), "many", None, True])
def test_a_share_out_of_range_names_its_key(share):
    with pytest.raises(UserError, match=r"data\.test_share="):
        shares(val=0.1, test=share)


def test_shares_that_leave_nothing_name_their_keys():
    with pytest.raises(UserError, match=r"data\.val_share=0\.5 and data\.test_share=0\.5"):
        shares(val=0.5, test=0.5)


def test_shared_subjects_are_those_in_both():
    assert shared_subjects(np.array(["c", "a", "c", "b"]), np.array(["d", "c", "b", "b"])) == ["b", "c"]
    assert shared_subjects(np.array(["a"]), np.array(["b"])) == []
