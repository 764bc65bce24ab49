"""Only what can be compared is ranked; repetitions become one line with mean and deviation."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fkd import comparison
from fkd.comparison.columns import labels, ranked_keys, recipe_keys
from fkd.comparison.settings import differing
from fkd.comparison.table import write_csv
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
    assert ranking.notes == (
        "2 of 3 runs were tested on the same faces and kind of boxes: ranked by val/nme (rank=test ranks these)",
    )
    ranking = ranked(tmp_path, "test")
    assert names(ranking.ranked) == ["a", "b"]
    assert names(ranking.others) == ["c"]
    assert ranking.notes == ("1 run was scored on other faces or kinds of boxes and not ranked with the 2",)


def test_faces_tell_what_is_comparable_where_settings_do_not(tmp_path: Path) -> None:
    """Other shares of validation leave the test as it is."""
    usual = {"train": "aa", "val": "bb", "test": "cc"}
    for name, nme in (("a", 5.0), ("b", 6.0)):
        write_run(tmp_path / name, {"model": name, "data.root": f"/{name}"}, nme, fingerprints=usual)
    write_run(tmp_path / "more", {"model": "m"}, 5.5, fingerprints=usual | {"train": "dd", "val": "ee"})
    write_run(tmp_path / "o", {"debug": "overfit"}, 0.1, fingerprints=dict.fromkeys(usual, "ff"), test=None)
    ranking = ranked(tmp_path)
    assert (ranking.by, names(ranking.ranked)) == ("test", ["a", "more", "b"])
    assert names(ranking.others) == ["o"]
    assert ranking.notes[0] == "1 run was made with debug=... and not ranked"
    ranking = ranked(tmp_path, "val")
    assert names(ranking.ranked) == ["a", "b"]
    assert ranking.notes[1] == "1 run was scored on other faces and not ranked with the 2"
    write_run(tmp_path / "old", {"model": "old"}, 1.0)
    assert "old" in names(ranked(tmp_path).others)


def test_missed_faces_count_where_a_detector_found_the_others(tmp_path: Path) -> None:
    test = {"boxes": "detector", "faces": 100, "subjects": 10, "labels": "published"}
    for name, nme, everything in (("few_found", 4.0, 9.0), ("all_found", 5.0, 5.0), ("most_found", 4.5, 6.0)):
        scores = test | {"nme_interocular": nme, "nme_all": everything}
        write_run(tmp_path / name, {"model": name}, nme, test=scores)
    ranking = ranked(tmp_path)
    assert names(ranking.ranked) == ["all_found", "most_found", "few_found"]
    assert [ranking.score(run) for run in ranking.ranked] == [5.0, 6.0, 9.0]
    assert ranking.title == "test NME, all faces (inter-ocular, %)"
    assert ranking.notes[0] == "boxes=detector: a missed face counts 100 %"
    write_run(tmp_path / "shown", {"model": "shown"}, 1.0)
    ranking = ranked(tmp_path, "test")
    assert names(ranking.others) == ["shown"]
    assert ranked(tmp_path, "val").title == "val NME (inter-ocular, %)"


def test_the_best_of_many_by_the_test_is_said_to_look_too_good(tmp_path: Path) -> None:
    for name in "ab":
        for seed in range(2):
            write_run(tmp_path / f"{name}{seed}", {"model": name, "seed": seed})
    assert ranked(tmp_path).notes == ()
    write_run(tmp_path / "c", {"model": "c"})
    (note,) = ranked(tmp_path).notes
    assert note.startswith("the best of 3 recipes was chosen by these test faces, so its error on them is too low")
    assert "rank=val" in note
    assert ranked(tmp_path, "val").notes == ()


def test_whom_the_nets_know_from_training_is_said_beside_their_test(tmp_path: Path) -> None:
    test = {"nme_interocular": 5.0, "boxes": "keypoints", "faces": 100, "subjects": 1234, "labels": "published"}
    for name, known in {"many": 1000, "few": 3, "nobody": 0, "untold": None}.items():
        write_run(tmp_path / name, {"model": "a", "seed": len(name)}, test=test | {"subjects_in_training": known})
    write_run(tmp_path / "old", {"model": "a", "seed": 0}, test=test)  # says nothing of it
    assert ranked(tmp_path).notes == (
        "2 runs were trained on subjects of this test, up to 1,000 of 1,234: their error measures memory of "
        "faces as well as skill",
        "whether 1 run was trained on subjects of this test is unknown",
    )
    assert ranked(tmp_path, "val").notes == ()
    write_csv(tmp_path / "table.csv", ranked(tmp_path))
    with (tmp_path / "table.csv").open() as file:
        said = {row["run"]: row["test/subjects_in_training"] for row in csv.DictReader(file)}
    assert said == {"many": "1000", "few": "3", "nobody": "0", "untold": "unknown", "old": ""}


def test_runs_on_other_data_are_not_ranked_at_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, {"model": name, "data.batch_size": ord(name)}, 5.0)
    write_run(tmp_path / "c", {"data.split": "subject"}, 1.0)
    ranking = ranked(tmp_path)
    assert names(ranking.ranked) == ["a", "b"]
    assert "1 run was scored on other faces" in ranking.notes[0]


def test_an_untested_run_turns_the_ranking_to_validation(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"model": "a"}, 5.0)
    write_run(tmp_path / "b", {"model": "b"}, 4.0, test=None)
    assert names(ranked(tmp_path).ranked) == ["b", "a"]
    assert "1 of 2 runs were tested on the same faces" in ranked(tmp_path).notes[0]
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


def test_only_runs_of_one_recipe_are_seeds_of_each_other(tmp_path: Path) -> None:
    """What a chosen group changes need not be among the settings; how a run was computed may be."""
    for seed, workers in ((0, 2), (1, 4)):
        settings = {"seed": seed, "data.num_workers": workers}
        write_run(tmp_path / f"plain{seed}", settings, 5.0 + seed, recipe="0123456789")
        write_run(tmp_path / f"other{seed}", settings, 7.0 + seed, recipe="abcdef0123")
    ranking = ranked(tmp_path)
    assert [names(group.runs) for group in ranking.groups] == [["plain0", "plain1"], ["other0", "other1"]]
    assert [group.settings.get("recipe") for group in ranking.groups] == ["012345", "abcdef"]
    assert "data.num_workers" not in ranking.groups[0].settings
    assert recipe_keys(ranking) == ["recipe"]
    assert labels(ranking)[0] == "1: num_workers=2, recipe=012345, seed=0"
    write_run(tmp_path / "old", {"seed": 0, "data.num_workers": 2}, 9.0)
    ranking = ranked(tmp_path)
    assert [len(group.runs) for group in ranking.groups] == [2, 2, 1]
    assert ranking.groups[2].settings["recipe"] is None
    for seed in (0, 1):
        shutil.rmtree(tmp_path / f"other{seed}")
    shutil.rmtree(tmp_path / "old")
    assert labels(ranked(tmp_path))[0] == "1: num_workers=2, seed=0"  # what is plain without is not shown


def test_a_group_that_only_one_run_chose_sets_it_apart(tmp_path: Path) -> None:
    """Where others lack it they have the default; an older version's run may not have written it down."""
    write_run(tmp_path / "a", {"callbacks": "early_stopping"}, 5.0, recipe="0123456789")
    write_run(tmp_path / "b", nme=6.0, recipe="abcdef0123")
    (write_run(tmp_path / "c") / "result.json").write_text("{")
    assert labels(ranked(tmp_path)) == ["1: callbacks=early_stopping", "2: callbacks=–", "c"]
    write_run(tmp_path / "old", nme=7.0)
    assert labels(ranked(tmp_path))[:3] == [
        "1: callbacks=early_stopping",
        "2: callbacks=–, recipe=abcdef",
        "3: recipe=–",
    ]


def test_what_only_others_differ_in_is_no_column_of_the_ranked(tmp_path: Path) -> None:
    for model in ("a", "b"):
        write_run(tmp_path / model, {"model": model})
    write_run(tmp_path / "c", {"model": "a", "loss": "mse"}, status="failed: why")
    ranking = ranked(tmp_path)
    assert ranked_keys(ranking) == recipe_keys(ranking) == ["model"]
    assert labels(ranking) == ["1: model=a", "2: model=b", "model=a, loss=mse"]
    shutil.rmtree(tmp_path / "b")
    assert recipe_keys(ranked(tmp_path)) == ["loss"]  # of a single one that is all there is to say


def test_a_seed_that_was_run_twice_counts_once(tmp_path: Path) -> None:
    for name, seed, nme, day in (("a", 0, 5.0, 1), ("b", 0, 9.0, 2), ("c", 1, 6.0, 1)):
        write_run(tmp_path / name, {"seed": seed}, nme, started=f"2026-01-0{day}T00:00:00")
    (group,) = ranked(tmp_path).groups
    assert sorted(run.name for run in group.runs) == ["b", "c"]
    assert group.spread(ranked(tmp_path).score).mean == 7.5


def test_columns_are_what_differs_with_the_seed_at_the_end() -> None:
    runs = [
        {"seed": 0, "model": "a", "lr": 1e-3, "same": 1, "size": 32},
        {"seed": 1, "model": "b", "lr": 0.001, "same": 1.0, "size": 32, "clip": None},
        {"model": "a", "clip": 0.5, "only_here": True},
        {},
    ]
    assert differing(runs) == ["model", "clip", "seed"]


def test_a_lost_run_that_tells_little_adds_no_columns(tmp_path: Path) -> None:
    for model in ("a", "b"):
        write_run(tmp_path / model, {"model": model})
    write_run(tmp_path / "c", status="failed: why", settings=None, test=None, best=None)
    result = json.loads((tmp_path / "c" / "result.json").read_text())
    result |= {"settings": None, "overrides": ["model=c"]}
    (tmp_path / "c" / "result.json").write_text(json.dumps(result))
    (tmp_path / "c" / ".hydra" / "config.yaml").unlink()
    assert labels(ranked(tmp_path)) == ["1: model=a", "2: model=b", "model=c"]


def test_what_only_one_run_has_added_sets_it_apart(tmp_path: Path) -> None:
    """The configs of the others know the part, and that it has no such key, or null."""
    write_run(tmp_path / "a", {"trainer.gradient_clip_val": 0.5, "trainer.max_time": "01:00"}, 5.0)
    write_run(tmp_path / "b", nme=6.0)
    with (tmp_path / "b" / ".hydra" / "config.yaml").open("a") as file:
        file.write("  gradient_clip_val: null\n")  # below trainer, which comes last
    assert labels(ranked(tmp_path)) == [
        "1: gradient_clip_val=0.5, max_time=01:00",
        "2: gradient_clip_val=–, max_time=–",
    ]


def test_seeds_alone_are_named_by_their_number(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"{seed}_seed={seed}", {"seed": seed}, status="done" if seed else "failed: why")
    (group,) = ranked(tmp_path).groups
    assert group.name == "2 of 3 seeds"
    write_run(tmp_path / "alone", {"model": "other"})
    assert [group.name for group in ranked(tmp_path).groups] == ["2 of 3 seeds", "alone"]


def test_a_search_that_minimised_something_else_is_said_to(tmp_path: Path) -> None:
    for name, nme, objective in (("a", 5.0, 7.5), ("b", 6.0, 7.0), ("c", 4.0, 9.0)):
        write_run(tmp_path / name, {"model": name}, nme, objective=objective)
    write_run(tmp_path / "d", {"model": "d"}, 4.0, "stopped: pruned", objective=None, test=None)

    def notes(metric: str, sweeper: str, by: str = "auto") -> tuple[str, ...]:
        content = f"hydra: {{sweeper: {sweeper}}}\noptimized_metric: {metric}\n"
        (tmp_path / "multirun.yaml").write_text(content)
        return tuple(note for note in comparison.compare([tmp_path], by).notes if "sweep" in note)

    line = "the sweep sought the lowest val/nme: 7 in b; this table ranks by test/nme"
    assert notes("val/nme", "{n_trials: 4}") == (line,)
    assert notes("val/nme", "{n_trials: 4}", "val") == ()
    assert notes("test/nme", "{n_trials: 4}") == ()
    assert notes("val/loss", "{max_batch_size: null}") == ()  # a grid seeks nothing
    (tmp_path / "multirun.yaml").write_text("[")
    assert comparison.compare([tmp_path], "val").notes == ()


def test_warnings_of_a_training_stand_beside_the_table(tmp_path: Path) -> None:
    for seed in range(7):
        lines = ["fell", f"rose from {seed} to {seed + 0.5} %", *["odd"] * (seed == 3)]
        write_run(tmp_path / str(seed), {"seed": seed}, 24.0 + seed, warnings=lines if seed else [])
    warnings = comparison.compare([tmp_path], "test").warnings
    assert warnings == (
        "2: seed=1; 3: seed=2; 4: seed=3 and 3 more: fell",
        "2: seed=1; 3: seed=2; 4: seed=3 and 3 more: rose from 1 to 1.5 % (figures of the first)",
        "4: seed=3: odd",
    )
    comparison.write_csv(tmp_path / "comparison.csv", comparison.compare([tmp_path], "test"))
    with (tmp_path / "comparison.csv").open() as file:
        assert [row["warnings"] for row in csv.DictReader(file)][:2] == ["", "fell; rose from 1 to 1.5 %"]


def test_many_kinds_of_warnings_are_counted(tmp_path: Path) -> None:
    write_run(tmp_path / "a", warnings=list("abcdefg"))
    warnings = comparison.compare([tmp_path], "test").warnings
    assert len(warnings) == 6
    assert warnings[-1] == "warnings that are not shown: 2; see column warnings of comparison.csv"


def test_a_search_whose_best_the_table_ranks_first_needs_no_note(tmp_path: Path) -> None:
    for name, nme, objective in (("a", 5.0, 7.0), ("b", 6.0, 7.5)):
        write_run(tmp_path / name, {"model": name}, nme, objective=objective)
    (tmp_path / "multirun.yaml").write_text("hydra: {sweeper: {n_trials: 2}}\noptimized_metric: val/nme\n")
    assert not [note for note in comparison.compare([tmp_path], "auto").notes if "sought" in note]


def test_debug_runs_are_not_ranked(tmp_path: Path) -> None:
    """A range test ends with a ruined net, and is not tested: it would change what all others are ranked by."""
    write_run(tmp_path / "a", {"model": "a"}, 5.0)
    write_run(tmp_path / "b", {"model": "b"}, 6.0)
    write_run(tmp_path / "lr", {"model": "b"}, 3000.0, overrides=["model=b", "debug=lr"], test=None)
    ranking = comparison.rank(comparison.read([tmp_path]), "auto")
    assert ([run.name for run in ranking.ranked], ranking.by) == (["a", "b"], "test")
    assert "1 run was made with debug=... and not ranked" in ranking.notes


def test_commands_that_never_trained_change_nothing_in_the_ranked_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"model": "a"}, 5.0)
    write_run(tmp_path / "b", {"model": "b"}, 6.0)
    before = comparison.rank(comparison.read([tmp_path]), "auto")
    wrong = {"best": None, "test": None, "status": "failed: expected a number"}
    for name, settings in {"seed": {"model": "a", "seed": "x"}, "class": {"model.net._target_": "mine.Tinny"}}.items():
        (write_run(tmp_path / name, settings, **wrong) / "metrics.csv").unlink()
    after = comparison.rank(comparison.read([tmp_path]), "auto")
    assert ranked_keys(after) == ranked_keys(before) == ["model"]
    assert not after.has_repeats
    assert len(after.others) == 2
