"""The paired bootstrap against what theory says, and the sentence that comes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fkd import comparison
from fkd.comparison import tested
from fkd.comparison.paired import bootstrap
from fkd.data.synthesis import face
from fkd.schema import IBUG68
from fkd.types import Annotations
from tests.comparison.folders import write_run

RNG = np.random.default_rng(3)


def annotations(people: int, frames: int) -> Annotations:
    rows = people * frames
    keypoints = np.stack([face(0, person, 0, 96)[1] for person in range(people) for _ in range(frames)])
    return Annotations(
        schema=IBUG68,
        paths=np.array([f"person_{p}/{f}" for p in range(people) for f in range(frames)]),
        images=np.arange(rows, dtype=np.int64),
        keypoints=keypoints.astype(np.float32),
        visible=np.ones((rows, 68), bool),
        subjects=np.array([f"person_{p}" for p in range(people) for _ in range(frames)]),
        label_shift=np.zeros((rows, 2), np.float32),
    )


def test_single_faces_give_the_normal_interval_of_the_mean() -> None:
    differences = RNG.normal(0.3, 2.0, 2000)
    interval = bootstrap(differences, 10_000, 0)
    error = 1.96 * differences.std() / np.sqrt(len(differences))
    assert interval.mean == pytest.approx(differences.mean())
    assert interval.low == pytest.approx(differences.mean() - error, abs=0.05 * error)
    assert interval.high == pytest.approx(differences.mean() + error, abs=0.05 * error)


def test_faces_of_one_person_that_are_all_alike_count_as_one() -> None:
    people, frames = 300, 9
    own = RNG.normal(0.2, 1.0, people)
    differences, names = np.repeat(own, frames), np.repeat(np.arange(people).astype(str), frames)
    order = RNG.permutation(len(differences))
    single, whole = bootstrap(differences, 4000, 0), bootstrap(differences[order], 4000, 0, names[order])
    once = bootstrap(own, 4000, 1)
    assert (whole.high - whole.low) / (single.high - single.low) == pytest.approx(np.sqrt(frames), rel=0.08)
    assert (whole.low, whole.high) == pytest.approx((once.low, once.high), abs=0.02)


def test_people_with_many_faces_weigh_as_many_faces() -> None:
    """Half of the people have one face and -1, the others nine faces and 1: a mean over people would be 0."""
    people = [(f"few{i}", -1.0, 1) for i in range(50)] + [(f"many{i}", 1.0, 9) for i in range(50)]
    names = np.concatenate([[name] * count for name, _, count in people])
    interval = bootstrap(np.concatenate([[value] * count for _, value, count in people]), 4000, 0, names)
    assert interval.mean == pytest.approx(0.8)
    assert 0.6 < interval.low < 0.8 < interval.high < 0.95


def test_draws_in_pieces_are_the_same_kind_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = RNG.normal(0, 1, 500)
    whole = bootstrap(differences, 3000, 0)
    monkeypatch.setattr("fkd.comparison.paired._AT_ONCE", 700)
    assert bootstrap(differences, 3000, 0).low == pytest.approx(whole.low, abs=0.01)


@pytest.mark.parametrize("wrong", [np.zeros(0), np.array([1.0, np.nan]), np.zeros((2, 2))])
def test_what_has_no_mean_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="differences"):
        bootstrap(wrong, 100, 0)
    with pytest.raises(ValueError, match="clusters"):
        bootstrap(np.zeros(3), 100, 0, np.array(["a"]))


def test_the_same_faces_are_found_again_in_any_order(tmp_path: Path) -> None:
    table = annotations(people=4, frames=3)
    first = tested.read(write_run(tmp_path / "a", faces=table.take(np.arange(0, 10))))
    second = tested.read(write_run(tmp_path / "b", faces=table.take(np.arange(11, 2, -1))))
    assert first is not None
    assert second is not None
    rows = tested.matched([first, second])
    assert first.keys[rows[0]].tolist() == second.keys[rows[1]].tolist() == table.paths[3:10].tolist()
    missed = replace(first, missed=first.nme > first.nme.mean())
    assert np.isinf(missed.curve).tolist() == missed.missed.tolist()
    assert tested.face_keys(np.array(["x", "y", "x"])).tolist() == ["x", "y", "x#1"]


def judge(folder: Path) -> str:
    return comparison.verdict(comparison.rank(comparison.read([folder]), "auto"), 500)


def test_the_sentence_tells_a_difference_from_chance(tmp_path: Path) -> None:
    table = annotations(people=25, frames=2)
    write_run(tmp_path / "far" / "a", {"model": "a"}, 4.0, faces=table, noise=1)
    write_run(tmp_path / "far" / "b", {"model": "b"}, 8.0, faces=table, noise=2)
    line = judge(tmp_path / "far")
    assert line.startswith("1 (model=a) is really better than 2 (model=b)")
    assert "50 test faces of 25 people (one training each)" in line
    assert "too narrow" not in line
    write_run(tmp_path / "near" / "a", {"model": "a"}, 5.0, faces=table, noise=1)
    write_run(tmp_path / "near" / "b", {"model": "b"}, 5.01, faces=table, noise=2)
    assert judge(tmp_path / "near").startswith("1 (model=a) may be no better than 2 (model=b)")


def test_seeds_are_averaged_before_they_are_compared(tmp_path: Path) -> None:
    table = annotations(people=5, frames=4)
    faces = {}
    for model, nme in (("a", 5.0), ("b", 6.0)):
        for seed in range(3):
            folder = write_run(
                tmp_path / f"{model}{seed}", {"model": model, "seed": seed}, nme, faces=table, noise=seed
            )
            faces[model, seed] = np.load(folder / "test_faces.npz")["nme"]
    means = [np.mean([faces[model, seed] for seed in range(3)]) for model in "ab"]
    line = judge(tmp_path)
    assert f"NME {means[0]:.3f} against {means[1]:.3f} %" in line
    first, second = (np.mean([faces[model, seed] for seed in range(3)], axis=0, dtype=float) for model in "ab")
    whole = bootstrap(second - first, 500, 0, table.subjects)
    assert f"{whole.low:+.3f} to {whole.high:+.3f}, by a paired bootstrap over whole people" in line
    assert "means over 3 and 3 seeds" in line
    assert "rather too narrow with 5 people" in line


def test_there_is_no_test_without_faces(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"model": "a"}, 5.0)
    assert judge(tmp_path) == "no paired test: there are not two runs that can be compared"
    write_run(tmp_path / "b", {"model": "b"}, 6.0)
    assert "left test_faces.npz" in judge(tmp_path)
    (tmp_path / "a" / "test_faces.npz").write_bytes(b"PK no archive")
    assert "left test_faces.npz" in judge(tmp_path)
