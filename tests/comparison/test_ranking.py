"""Only what can be compared is ranked; repetitions become one line with mean and deviation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fkd import comparison
from fkd.comparison.columns import labels
from fkd.comparison.settings import differing
from fkd.errors import UserError
from tests.comparison.folders import write_run


def ranked(folder: Path, by: str = "auto") -> comparison.Ranking:
    return comparison.rank(comparison.read([folder]), by)


def names(runs: Any) -> list[str]:
    return [run.name for run in runs]


def test_the_least_error_comes_first(tmp_path: Path) -> None:
    for name, nme in (("a", 7.0), ("b", 5.0), ("c", 6.0)):
        write_run(tmp_path / name, {"model": name}, nme, best={"epoch": 1, "val/loss": 1.0, "val/nme": 10 - nme})
    write_run(tmp_path / "d", {"model": "d"}, 1.0, "stopped: pruned")
    ranking = ranked(tmp_path)
    assert ranking.by == "test"
    assert names(ranking.ranked) == ["b", "c", "a"]
    assert names(ranking.others) == ["d"]
    assert names(ranked(tmp_path, "val").ranked) == ["a", "c", "b"]
    assert labels(ranking) == ["1: model=b", "2: model=c", "3: model=a", "model=d"]
    with pytest.raises(UserError, match="rank=best: expected one of auto, test, val"):
        ranked(tmp_path, "best")


def test_runs_tested_on_other_faces_are_not_ranked_by_their_tests(tmp_path: Path) -> None:
    other = {"nme_interocular": 1.0, "boxes": "jitter", "faces": 100, "subjects": 10, "labels": "published"}
    for name in ("a", "b"):
        write_run(tmp_path / name, {"model": name}, 5.0)
    write_run(tmp_path / "c", {"model": "c"}, 6.0, test=other)
    ranking = ranked(tmp_path)
    assert (ranking.by, len(ranking.ranked)) == ("val", 3)
    assert "different faces or kinds of boxes" in ranking.notes[0]
    ranking = ranked(tmp_path, "test")
    assert names(ranking.ranked) == ["a", "b"]
    assert names(ranking.others) == ["c"]
    assert ranking.notes == ("1 run was tested on other faces or kinds of boxes and not ranked with the rest",)


def test_runs_on_other_data_are_not_ranked_at_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, {"model": name, "data.batch_size": ord(name)}, 5.0)
    write_run(tmp_path / "c", {"data.split": "subject"}, 1.0)
    ranking = ranked(tmp_path)
    assert names(ranking.ranked) == ["a", "b"]
    assert "1 run was scored on other data" in ranking.notes[0]


def test_an_untested_run_turns_the_ranking_to_validation(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"model": "a"}, 5.0)
    write_run(tmp_path / "b", {"model": "b"}, 4.0, test=None)
    assert names(ranked(tmp_path).ranked) == ["b", "a"]
    assert "1 run was not tested" in ranked(tmp_path).notes[0]
    assert names(ranked(tmp_path, "test").ranked) == ["a"]


def test_seeds_of_a_recipe_are_one_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = {"simple": rng.uniform(4, 5, 4), "naimish": rng.uniform(5, 6, 3)}
    for model, values in scores.items():
        for seed, nme in enumerate(values):
            write_run(tmp_path / f"{model}{seed}", {"model": model, "seed": seed}, float(nme))
    write_run(tmp_path / "lost", {"model": "naimish", "seed": 3}, 1.0, "stopped: diverged")
    write_run(tmp_path / "alone", {"model": "conv5"}, 7.0)
    ranking = ranked(tmp_path)
    assert ranking.has_repeats
    assert [(group.settings["model"], group.seeds) for group in ranking.groups] == [
        ("simple", "4"),
        ("naimish", "3 of 4"),
        ("conv5", "1"),
    ]
    assert "seed" not in ranking.groups[0].settings
    for group, values in zip(ranking.groups, scores.values(), strict=False):
        spread = group.spread(ranking.score)
        assert spread == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert ranking.groups[2].spread(ranking.score) == (7.0, None)


def test_a_seed_that_was_run_twice_counts_once(tmp_path: Path) -> None:
    for name, seed, nme, day in (("a", 0, 5.0, 1), ("b", 0, 9.0, 2), ("c", 1, 6.0, 1)):
        write_run(tmp_path / name, {"seed": seed}, nme, started=f"2026-01-0{day}T00:00:00")
    (group,) = ranked(tmp_path).groups
    assert sorted(run.name for run in group.runs) == ["b", "c"]
    assert group.spread(ranked(tmp_path).score).mean == 7.5


def test_columns_are_what_differs_with_the_seed_at_the_end() -> None:
    runs = [
        {"seed": 0, "model": "a", "lr": 1e-3, "same": 1, "size": 32},
        {"seed": 1, "model": "b", "lr": 0.001, "same": 1.0, "size": 32, "new": True},
        {},
    ]
    assert differing(runs) == ["model", "new", "seed"]
