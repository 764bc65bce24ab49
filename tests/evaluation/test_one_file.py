"""A set that is one file or folder of labels: all of it can be scored and looked at, and a part of it is called one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fkd.io import images
from fkd.synthetic.render import face
from tests.conftest import Outcome

Script = Callable[..., Outcome]


def labelled(folder: Path, subjects: int) -> Path:
    """A folder with one image of each subject and a .pts file beside it."""
    folder.mkdir(parents=True)
    for subject in range(subjects):
        image, points = face(0, subject, 0, 96)
        images.write(folder / f"{subject}.png", image)
        lines = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in points)
        (folder / f"{subject}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return labelled(tmp_path / "two", 2)


def on(root: Path, *changes: str) -> tuple[str, ...]:
    return ("data=pts", f"data.root={root}", "data.cache_dir=cache", *changes)


TEST_ALONE = ("data.train=null", "data.val=null", "data.test=[.]")


def test_all_of_it_is_scored_once(script: Script, two: Path) -> None:
    outcome = script("evaluate", *on(two, *TEST_ALONE), "hydra.run.dir=scores")
    assert outcome.status == 0, outcome.err
    metrics = json.loads(Path("scores/metrics.json").read_text())
    assert (metrics["faces"], metrics["subjects"]) == (2, 2)
    assert "2 faces (0 train, 0 val, 2 test) of 2 subjects\n" in outcome.out
    assert "are scored" not in outcome.out


def test_two_images_are_enough_to_look_at(script: Script, two: Path) -> None:
    outcome = script("explore", *on(two, *TEST_ALONE), "output=out", "faces=2")
    assert outcome.status == 0, outcome.err
    content = json.loads(Path("out/report.json").read_text())
    assert content["counts"]["all"] == content["counts"]["test"] == {"faces": 2, "images": 2, "subjects": 2}
    assert not {"identical", "subjects"} & {finding["name"] for finding in content["findings"]}
    assert "no training face" in outcome.out


def test_a_part_that_is_scored_is_called_one(script: Script, tmp_path: Path) -> None:
    root = labelled(tmp_path / "ten", 10)
    numbers = {}
    for subset in ("train", "val", "test", "all"):
        outcome = script("evaluate", *on(root), f"subset={subset}", "hydra.run.dir=scores")
        assert outcome.status == 0, outcome.err
        numbers[subset] = json.loads(Path("scores/metrics.json").read_text())["faces"]
        said = [line for line in outcome.out.splitlines() if "are scored" in line]
        assert len(said) == (subset != "all")
        for line in said:
            assert line.startswith(f"subset={subset}: {numbers[subset]} of the 10 faces of data.train are scored")
            assert "held out by subject" in line
            assert line.endswith("; subset=all scores all")
        if subset in ("val", "test"):
            assert f"because data.{subset} is not given" in said[0]
    assert numbers["train"] + numbers["val"] + numbers["test"] == numbers["all"] == 10


def test_a_split_of_its_own_is_no_part(script: Script, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name, count in {"some": 6, "others": 3}.items():
        labelled(root / name, count)
    given = on(root, "data.train=[some]", "data.test=[others]")
    assert "are scored" not in script("evaluate", *given, "subset=test", "hydra.run.dir=scores").out
    held_out = script("evaluate", *given, "subset=val", "hydra.run.dir=scores").out
    assert "of the 6 faces of data.train are scored" in held_out


def test_what_needs_training_faces_says_so(script: Script, two: Path) -> None:
    outcome = script("benchmark", "data", *on(two, *TEST_ALONE))
    assert outcome.status == 2
    assert "error: data=pts: expected faces in its train split, found none" in outcome.err.splitlines()[-1]


def test_there_is_nothing_to_train_on(script: Script, two: Path) -> None:
    outcome = script("train", *on(two, *TEST_ALONE), "trainer=debug", "crop.size=32", "hydra.run.dir=run")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: data=pts: expected faces in train and val, found none in")
