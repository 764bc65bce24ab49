"""The paired test against what theory and simulation say, and the sentence that comes of it."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from fkd import comparison
from fkd.comparison import tested
from fkd.comparison.significance import interval
from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.types import Annotations
from tests.comparison.folders import write_run
from tests.conftest import PROJECT

RNG = np.random.default_rng(3)


def annotations(subjects: int, frames: int) -> Annotations:
    rows = subjects * frames
    keypoints = np.stack([face(0, subject, 0, 96)[1] for subject in range(subjects) for _ in range(frames)])
    return Annotations(
        schema=IBUG68,
        paths=np.array([f"subject_{p}/{f}" for p in range(subjects) for f in range(frames)]),
        images=np.arange(rows, dtype=np.int64),
        keypoints=keypoints.astype(np.float32),
        visible=np.ones((rows, 68), bool),
        subjects=np.array([f"subject_{p}" for p in range(subjects) for _ in range(frames)]),
        label_shift=np.zeros((rows, 2), np.float32),
    )


def each_alone(faces: int) -> np.ndarray:
    return np.arange(faces).astype(str)


def test_one_training_each_gives_the_normal_interval_of_the_mean() -> None:
    first, differences = RNG.normal(5.0, 3.0, 2000), RNG.normal(0.3, 2.0, 2000)
    found = interval(first[None], (first + differences)[None], each_alone(2000), 10_000, 0)
    error = 1.96 * differences.std() / np.sqrt(len(differences))
    assert found.low == pytest.approx(differences.mean() - error, abs=0.05 * error)
    assert found.high == pytest.approx(differences.mean() + error, abs=0.05 * error)


@pytest.mark.parametrize("subjects", [2, 4, 12])
def test_few_subjects_are_a_wide_t_interval(subjects: int) -> None:
    differences = RNG.normal(0.3, 2.0, subjects)
    expected = stats.t.interval(0.95, subjects - 1, differences.mean(), stats.sem(differences))
    found = interval(np.zeros((1, subjects)), differences[None], each_alone(subjects), 40_000, 0)
    assert tuple(found) == pytest.approx(tuple(expected), rel=0.05, abs=0.02)


def test_trainings_that_are_alike_on_all_faces_are_welchs_test() -> None:
    first, second = np.array([5.0, 5.1, 5.3]), np.array([5.4, 5.9])
    expected = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    sides = [np.repeat(side[:, None], 8, axis=1) for side in (first, second)]
    assert tuple(interval(*sides, each_alone(8), 100, 0)) == pytest.approx(tuple(expected))
    assert interval(sides[0][:1], sides[0][:1] + 1, each_alone(8), 100, 0) == (1.0, 1.0)


@pytest.mark.parametrize(("trainings", "spread"), [((2, 2), 0.2), ((3, 3), 0.1), ((5, 5), 0.2), ((2, 5), 0.05)])
def test_it_holds_the_truth_in_95_percent_of_the_cases(trainings: tuple[int, int], spread: float) -> None:
    """Both recipes are equally good: subjects, trainings, both together and single faces differ by chance only."""
    rng = np.random.default_rng(7)
    subjects = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    cases, held, held_by_subjects = 500, 0, 0
    for case in range(cases):
        own = [np.zeros(60), 0.5 * (rng.gamma(1.0, 1.0, 60) - 1)]
        sides = [
            (5 + mine + spread * rng.normal(size=(count, 1)) + 0.3 * rng.normal(size=(count, 60)))[:, subjects]
            + 0.5 * rng.normal(size=(count, len(subjects)))
            for count, mine in zip(trainings, own, strict=True)
        ]
        found = interval(sides[0], sides[1], subjects.astype(str), 200, case)
        held += found.low <= 0 <= found.high
        blind = interval(*(side.mean(axis=0)[None] for side in sides), subjects.astype(str), 200, case)
        held_by_subjects += blind.low <= 0 <= blind.high
    assert 0.92 <= held / cases <= 0.985
    assert held_by_subjects < held
    if spread == 0.2:
        assert held_by_subjects / cases < 0.75


def test_faces_of_one_subject_that_are_all_alike_count_as_one() -> None:
    subjects, frames = 300, 9
    own = RNG.normal(0.2, 1.0, subjects)
    differences, names = np.repeat(own, frames), np.repeat(each_alone(subjects), frames)
    order = RNG.permutation(len(differences))
    zero = np.zeros((1, subjects * frames))
    single = interval(zero, differences[None], each_alone(subjects * frames), 4000, 0)
    whole = interval(zero, differences[order][None], names[order], 4000, 0)
    once = interval(zero[:, :subjects], own[None], each_alone(subjects), 4000, 1)
    assert (whole.high - whole.low) / (single.high - single.low) == pytest.approx(np.sqrt(frames), rel=0.08)
    assert tuple(whole) == pytest.approx(tuple(once), abs=0.02)
    only = interval(zero, differences[None], np.full(subjects * frames, "x"), 4000, 0)
    assert tuple(only) == pytest.approx(tuple(single), abs=0.01)  # of one subject its faces count


def test_subjects_with_many_faces_weigh_as_many_faces() -> None:
    """Half of the subjects have one face and -1, the others nine faces and 1: a mean over subjects would be 0."""
    subjects = [(f"few{i}", -1.0, 1) for i in range(50)] + [(f"many{i}", 1.0, 9) for i in range(50)]
    names = np.concatenate([[name] * count for name, _, count in subjects])
    differences = np.concatenate([[value] * count for _, value, count in subjects])
    low, high = interval(np.zeros((1, 500)), differences[None], names, 4000, 0)
    assert (low + high) / 2 == pytest.approx(0.8)
    deviations = np.array([count * (value - 0.8) for _, value, count in subjects]) / 500  # of a ratio of sums
    assert (high - low) / 2 == pytest.approx(1.98 * np.sqrt((deviations**2).sum()), rel=0.08)


def test_draws_in_pieces_are_the_same_kind_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = np.zeros((1, 500)), RNG.normal(0, 1, (1, 500)), each_alone(500), 3000, 0
    whole = interval(*arguments)
    monkeypatch.setattr("fkd.comparison.significance._AT_ONCE", 700)
    assert tuple(interval(*arguments)) == pytest.approx(tuple(whole), abs=0.01)


@pytest.mark.parametrize(
    ("first", "second", "faces"),
    [((1, 0), (1, 0), 0), ((1, 1), (1, 1), 1), ((1, 3), (1, 2), 3), ((1, 3), (1, 3), 2), ((3,), (3,), 3)],
)
def test_shapes_that_do_not_fit_are_refused(first: tuple[int, ...], second: tuple[int, ...], faces: int) -> None:
    with pytest.raises(ValueError, match="errors of N >= 2"):
        interval(np.zeros(first), np.zeros(second), each_alone(faces), 100, 0)
    with pytest.raises(ValueError, match="finite"):
        interval(np.full((1, 3), np.nan), np.zeros((1, 3)), each_alone(3), 100, 0)


def test_the_same_faces_are_found_again_in_any_order(tmp_path: Path) -> None:
    table = annotations(subjects=4, frames=3)
    first = tested.read(write_run(tmp_path / "a", faces=table.take(np.arange(0, 10))))
    second = tested.read(write_run(tmp_path / "b", faces=table.take(np.arange(11, 2, -1))))
    assert first is not None
    assert second is not None
    rows = tested.matched([first, second])
    assert first.keys[rows[0]].tolist() == second.keys[rows[1]].tolist() == table.paths[3:10].tolist()
    missed = replace(first, missed=first.nme > first.nme.mean())
    assert np.isinf(missed.curve).tolist() == missed.missed.tolist()
    assert tested.face_keys(np.array(["x", "y", "x"])).tolist() == ["x", "y", "x#1"]


def judge(folder: Path) -> str | None:
    return comparison.verdict(comparison.rank(comparison.read([folder]), "auto"), 500)


def test_the_sentence_tells_a_difference_from_chance(tmp_path: Path) -> None:
    table = annotations(subjects=25, frames=2)
    for name, nme in (("far", 8.0), ("near", 5.01)):
        write_run(tmp_path / name / "a", {"model": "a"}, 5.0, faces=table, noise=1)
        write_run(tmp_path / name / "b", {"model": "b"}, nme, faces=table, noise=2)
        line = judge(tmp_path / name)
        assert line is not None
        outcome = "came out better than" if name == "far" else "may be no better than"
        assert line.startswith(f"model=a {outcome} model=b: NME ")
        assert "50 test faces of 25 subjects. " in line
        assert "of each there is one training, and what other seeds change is not in it (sweep=seeds5 tells)" in line
        assert "really" not in line


def test_trainings_are_in_the_interval(tmp_path: Path) -> None:
    """The seeds of b lie so far apart that it may be as good as a, which is better on every single face on average."""
    table = annotations(subjects=5, frames=4)
    faces: dict[tuple[str, int], np.ndarray] = {}
    for model, values in (("a", (5.0, 5.0, 5.0)), ("b", (5.2, 5.2, 7.8))):
        for seed, nme in enumerate(values):
            folder = write_run(tmp_path / f"{model}{seed}", {"model": model, "seed": seed}, nme, faces=table)
            faces[model, seed] = np.load(folder / "test_faces.npz")["nme"]
    first, second = (np.array([faces[model, seed] for seed in range(3)], np.float64) for model in "ab")
    assert (second.mean(axis=0) > first.mean(axis=0)).all()
    line = judge(tmp_path)
    assert line is not None
    assert line.startswith("model=a may be no better than model=b: ")
    assert f"NME {first.mean():.3f} against {second.mean():.3f} %" in line
    low, high = interval(first, second, table.subjects, 500, 0)
    assert low < 0 < high
    words = f"model=a is between {-low:.3f} points of NME worse and {high:.3f} better than model=b"
    assert f"95 % interval: {words}, over subjects (paired bootstrap) and trainings (Welch's t)." in line
    assert "20 test faces of 5 subjects, means over 3 and 3 trainings" in line
    for seed in (1, 2):
        shutil.rmtree(tmp_path / f"b{seed}")
    once = judge(tmp_path)
    assert once is not None
    assert once.startswith("model=a came out better than model=b: ")
    assert (
        "and trainings (Welch's t); of model=b there is one training, and what other seeds change is not in it" in once
    )


@pytest.mark.parametrize(("worse", "word"), [("b", "better"), ("a", "worse")])
def test_the_interval_says_who_is_better_and_by_how_much(tmp_path: Path, worse: str, word: str) -> None:
    """Of faces that all differ by 2 points; ranked by val, the first may be the worse one on the test."""
    table = annotations(subjects=5, frames=2)
    for name in "ab":
        folder = write_run(tmp_path / name, {"model": name}, 5.0 if name == "a" else 6.0, faces=table)
        content = dict(np.load(folder / "test_faces.npz"))
        content["nme"] = np.full_like(content["nme"], 7.0 if name == worse else 5.0)
        np.savez(folder / "test_faces.npz", **content)
    line = str(judge(tmp_path))
    assert f"95 % interval: model=a is {word} than model=b by 2.000 to 2.000 points of NME, over" in line


def test_there_is_no_test_without_two_recipes_or_without_faces(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", {"model": "a", "seed": seed}, 5.0)
    assert judge(tmp_path) is None
    write_run(tmp_path / "b", {"model": "b"}, 6.0)
    assert "left test_faces.npz" in str(judge(tmp_path))
    (tmp_path / "a0" / "test_faces.npz").write_bytes(b"PK no archive")
    assert "one has a damaged file (test_faces.npz: " in str(judge(tmp_path))


def test_one_face_in_common_is_too_few(tmp_path: Path) -> None:
    table = annotations(subjects=3, frames=1)
    write_run(tmp_path / "a", {"model": "a"}, 5.0, faces=table.take(np.array([0, 1])))
    write_run(tmp_path / "b", {"model": "b"}, 6.0, faces=table.take(np.array([1, 2])))
    assert judge(tmp_path) == "no paired test: model=a and model=b share 1 test face, two are needed"


def test_recipes_are_called_by_all_that_tells_recipes_apart(tmp_path: Path) -> None:
    """Numbers would be those of recipes, and those of the table may be of runs: seed 0 of b was run twice."""
    table = annotations(subjects=5, frames=2)
    for number, (model, lr, nme) in enumerate((("b", 2, 4.0), ("b", 2, 7.0), ("a", 1, 5.0), ("a", 2, 6.0))):
        settings, day = {"model": model, "optimizer.lr": lr}, f"2026-01-0{number + 1}"
        write_run(tmp_path / str(number), settings, nme, faces=table, noise=number, started=day)
    line = str(judge(tmp_path))
    assert re.match(r"model=a, lr=1 (came out better|may be no better) than model=a, lr=2: ", line)


def test_boxes_of_two_kinds_are_not_tested_against_each_other(tmp_path: Path) -> None:
    table = annotations(subjects=5, frames=2)
    for name, boxes in (("a", "keypoints"), ("b", "jitter")):
        scores = {"nme_interocular": 5.0, "boxes": boxes, "faces": 10, "subjects": 5}
        write_run(tmp_path / name, {"model": name}, faces=table, test=scores)
    assert judge(tmp_path) == "no paired test: model=a and model=b were tested with different kinds of boxes"


def test_a_sweep_ends_with_the_verdict_of_the_script(tmp_path: Path) -> None:
    table = annotations(subjects=25, frames=2)
    for name, nme in (("a", 5.0), ("b", 5.4)):
        write_run(tmp_path / name, {"model": name}, nme, faces=table, noise=ord(name))
    config = yaml.safe_load((PROJECT / "conf" / "compare.yaml").read_text())
    ranking = comparison.compare([tmp_path], config["rank"])
    assert str(comparison.summary(tmp_path)[-1]) == comparison.verdict(ranking, config["resamples"])
    for i in range(config["rows"] + 1):
        write_run(tmp_path / f"more{i}", {"model": f"more{i}"}, 8.0 + i)
    assert f"the best {config['rows']} of" in comparison.summary(tmp_path)[0].title  # type: ignore[union-attr]
