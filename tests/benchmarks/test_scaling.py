import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from benchmarks.scaling import repeated, settings
from benchmarks.starting import generate
from fkd.data.shards.source import shards
from fkd.errors import UserError
from tests.conftest import Outcome
from tests.data.test_datamodule import made_up

Script = Callable[..., Outcome]
TINY = ("data.subjects=12", "data.frames=3", "data.size=96", "data.batch_size=8")
KEYS = {"rows": 40, "faces_size": 32, "faces": [50, 2000], "batch_sizes": [4], "sizes": [], "workers": [0, 1]}


@pytest.mark.parametrize("rows", [3, 1203])
def test_a_repeated_table_has_so_many_training_rows_and_leaves_the_rest_alone(rows: int) -> None:
    faces = made_up(40)
    faces.table.images[:] = np.arange(40)
    more = repeated(faces, rows)
    before, after = faces.subset("train"), more.subset("train")
    assert len(after) == rows
    for row in range(rows):
        assert after.images[row] == before.images[row % 20]
        assert (after.keypoints[row] == before.keypoints[row % 20]).all()
    assert after.subjects.dtype == before.subjects.dtype  # as long in memory
    assert more.fingerprints() == faces.fingerprints() | {"train": more.fingerprints()["train"]}
    for split in ("val", "test"):
        assert (more.subset(split).images == faces.subset(split).images).all()


def test_the_same_images_are_repeated_however_many_rows_there_are() -> None:
    faces = made_up(4_000)
    faces.table.images[:] = np.arange(4_000)
    shown = [np.unique(repeated(faces, rows).subset("train").images).tolist() for rows in (500, 2_000)]
    assert shown[0] == shown[1] == faces.splits["train"][:500].tolist()


def test_settings_are_the_overrides_of_what_is_compared() -> None:
    assert settings(OmegaConf.create(KEYS)) == {
        "an epoch by faces": {"50 faces": ["crop.size=32", "rows=50"], "2,000 faces": ["crop.size=32", "rows=2000"]},
        "an epoch by batch size": {"batches of 4": ["rows=40", "data.batch_size=4"]},
        "an epoch by processes that load": {
            "num_workers=0": ["rows=40", "data.num_workers=0"],
            "num_workers=1": ["rows=40", "data.num_workers=1"],
        },
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"faces": 5}, "faces: expected a list of whole numbers, found 5"),
        ({"faces": "50"}, "faces: expected a list"),
        ({"sizes": [32, "x"]}, r"sizes\[1\]: expected a whole number from 1 on, found 'x'"),
        ({"workers": [-1]}, r"workers\[0\]: expected a whole number from 0 on"),
    ],
)
def test_settings_that_are_no_whole_numbers_are_one_line(change: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        settings(OmegaConf.create(KEYS | change))


def test_the_script_trains_an_epoch_of_each_setting_and_compares_their_memory(script: Script) -> None:
    others = ("faces=[]", "batch_sizes=[]", "sizes=[]", "starts=[]")
    outcome = script(
        "benchmark", "scale", *TINY, *others, "scale_turns=1", "rows=50", "crop.size=32", "hydra.run.dir=out"
    )
    assert outcome.status == 0, outcome.err
    groups = json.loads(Path("out/benchmark.json").read_text())["figures"]
    assert list(groups) == ["an epoch by processes that load"]
    found = {row["name"]: row["median"] for rows in groups.values() for row in rows}
    for workers in (0, 1):
        images = found[f"num_workers={workers}: time"] * found[f"num_workers={workers}: speed"]
        assert images == pytest.approx(48, rel=0.02)  # whole batches
        assert 50 < found[f"num_workers={workers}: anonymous"] < found[f"num_workers={workers}: at the peak"]
    for what in ("at the peak", "anonymous"):
        without, loader = (found[f"num_workers={workers}: {what}"] for workers in (0, 1))
        growth = found[f"num_workers=1 over num_workers=0: {what}"]
        assert growth == pytest.approx(100 * (loader / without - 1), abs=0.01)
        assert 3 < growth < 70  # what a loader holds alone; what it shares would double it


def test_an_epoch_that_fails_says_why_in_one_line(script: Script) -> None:
    outcome = script("benchmark", "scale", *TINY, "faces=[4]", "starts=[]", "crop.size=32", "hydra.run.dir=out")
    assert outcome.status == 2
    assert "data.batch_size: expected at most the 4 training faces" in outcome.err.splitlines()[-1]


def test_the_start_of_an_epoch_is_timed_in_its_steps(script: Script) -> None:
    others = ("faces=[]", "batch_sizes=[]", "sizes=[]", "workers=[]", "starts=[3000]")
    outcome = script("benchmark", "scale", *TINY, *others, "scale_turns=1", "faces_size=32", "hydra.run.dir=out")
    assert outcome.status == 0, outcome.err
    (rows,) = json.loads(Path("out/benchmark.json").read_text())["figures"].values()
    load, split, start, peak, anonymous = (row["median"] for row in rows)
    assert 0 < split < load + split + start < 60
    assert 100 < anonymous < peak


def test_generated_shards_have_so_many_rows_of_few_images_and_subjects_of_their_own(tmp_path: Path) -> None:
    faces = made_up(40)
    generate(faces, 1_000, 1, tmp_path / "shards")
    many = shards(str(tmp_path / "shards"), "ibug68", 1, 0)
    assert (len(many.table), len(many.images)) == (1_000, 1)
    assert len(set(many.table.subjects.tolist())) == 50
    assert sum(map(len, many.splits.values())) == 1_000
    first = faces.splits["train"]
    np.testing.assert_array_equal(many.table.keypoints[[3, 3 + len(first)]], faces.table.keypoints[first[[3, 3]]])
