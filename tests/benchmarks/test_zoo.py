"""Records and the table of nets against scripts/evaluate.py and sums done by hand."""

import csv
import dataclasses
import io
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from torch import nn

from benchmarks.zoo.measuring import multiply_adds
from benchmarks.zoo.records import BOXES, Record, read
from benchmarks.zoo.table import Table, rows
from benchmarks.zoo.trainings import Training, trainings
from fkd.errors import UserError
from fkd.io import images
from tests.conftest import Outcome

Script = Callable[..., Outcome]


@pytest.fixture
def source(faces_root: Path) -> tuple[str, ...]:
    cache = faces_root.parent / "cache"
    return "data=udacity", f"data.root={faces_root}", f"data.cache_dir={cache}", "detector=whole_image"


@pytest.fixture
def train(script: Script, source: tuple[str, ...]) -> Callable[..., None]:
    def run(folder: str, *overrides: str) -> None:
        quick = (
            "model=simple",
            "crop.size=48",
            "trainer.max_epochs=1",
            "trainer.precision=32",
            "test=false",
            "data.batch_size=8",
        )
        outcome = script("train", *source, *quick, f"hydra.run.dir={folder}", *overrides)
        assert outcome.status == 0, outcome.err

    return run


def test_the_table_has_what_evaluate_measures(
    script: Script, train: Callable[..., None], source: tuple[str, ...]
) -> None:
    train("runs/a")
    train("runs/b", "data.split=subject")
    train("runs/c", "data.split=subject", "seed=1")
    train("runs/seen", "data.split=subject", "weights=runs/a/checkpoints/best.ckpt")
    shutil.copytree("runs/a", "runs/cut")
    Path("runs/cut/result.json").write_text(Path("runs/a/result.json").read_text().replace('"done"', '"failed: why"'))
    config = Path("runs/a/.hydra/config.yaml")  # untrusted
    evil = {"_target_": "os.mkdir", "path": "evil"}
    config.write_text(yaml.dump(yaml.safe_load(config.read_text()) | {"data": {"source": evil}, "detector": evil}))
    outcome = script("zoo", "runs", *source, "output=out", "repeats=2")
    assert outcome.status == 0, outcome.err
    shutil.rmtree("out")
    outcome_of_files = script("zoo", "output=out")  # the records are enough
    assert outcome_of_files.status == 0, outcome_of_files.err
    assert not Path("evil").exists()
    assert "left out: cut (failed: why)" in outcome.out
    assert re.search(
        r"left out: seen \(subject: of (\d+) subjects of the test split the net was trained on \1\)", outcome.out
    )

    with Path("out/zoo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3  # keypoints and detector of three runs
    scores = {}
    for run, split in (("a", "official"), ("b", "subject"), ("c", "subject")):
        ckpt = f"ckpt=runs/{run}/checkpoints/best.ckpt"
        assert script("evaluate", ckpt, *source, f"data.split={split}", f"hydra.run.dir=of_{run}").status == 0
        scores[run] = json.loads(Path(f"of_{run}/metrics.json").read_text())
    (official,) = (row for row in rows if row["split"] == "official" and row["boxes"] == "keypoints")
    assert float(official["nme_interocular"]) == pytest.approx(scores["a"]["nme_interocular"], rel=1e-4)
    assert float(official["auc_10"]) == pytest.approx(scores["a"]["auc_10"], abs=1e-4)

    (line,) = zoo_lines(Path("out/zoo.md").read_text())
    b, c = (scores[run]["nme_interocular"] for run in "bc")
    assert line["net"] == "simple"
    assert line["subject, keypoints"] == f"{(b + c) / 2:.2f} ± {abs(b - c) / math.sqrt(2):.2f}"
    assert line["official, keypoints"] == f"{scores['a']['nme_interocular']:.2f}"
    assert images.read("out/zoo.png", 3).std() > 5


def test_a_run_that_cannot_be_scored_is_left_out(
    script: Script, train: Callable[..., None], source: tuple[str, ...]
) -> None:
    train("runs/a")
    outcome = script("zoo", "runs", *source, "data.label_shift=false")
    assert outcome.status == 2
    assert outcome.err.startswith("error: runs: expected one that can be scored, found 1 that cannot; a: data.label_sh")
    path = Path("runs/a/checkpoints/best.ckpt")
    content = torch.load(path, weights_only=True)
    content["config"]["data"]["split"] = "${oc.env:HOME}"
    torch.save(content, path)
    outcome = script("zoo", "runs", *source)
    assert "a: data.split: expected a plain value, found '${oc.env:HOME}'" in outcome.err


def zoo_lines(markdown: str) -> list[dict[str, str]]:
    table = [line[2:-2].split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return [dict(zip(table[0], line, strict=True)) for line in table[2:]]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 10))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image.float())


def test_multiply_adds_are_those_of_convolutions_and_dense_layers() -> None:
    net: Any = _Net()
    net.channels, net.size = 1, 16
    assert multiply_adds(net) == 7 * 7 * 4 * 9 + 4 * 7 * 7 * 10


def write_run(folder: Path, seconds: float | None = 60.0, **settings: Any) -> str:
    """A run that looks done; gives its weights."""
    best = folder / "checkpoints/best.ckpt"
    best.parent.mkdir(parents=True)
    best.touch()
    known = {"model": "compact", "data": "udacity", "trainer.max_epochs": 8, "seed": 0, **settings}
    given = [f"{key}={value}" for key, value in {"data": "udacity", "data.root": "/here", **settings}.items()]
    content = {"status": "done", "settings": known, "seconds": seconds, "overrides": given, "recipe": str(known)}
    (folder / "result.json").write_text(json.dumps(content))
    return str(best)


def found_in(folder: Path) -> dict[str, Training]:
    """Name of each run -> what is known of it."""
    found, _ = trainings([folder], "udacity")
    return {training.run.path.name: training for training in found}


def test_a_recipe_is_what_was_chosen_but_for_split_and_seed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", **{"data.split": "subject"})
    write_run(tmp_path / "b", seed=1, **{"data.split": "official", "trainer.max_epochs": 1})
    write_run(tmp_path / "c", experiment="face/compact", loss="wing", **{"model.net.stem": 24})
    write_run(tmp_path / "d", data="synthetic")
    write_run(tmp_path / "e", **{"callbacks.overlays": "null", "trainer.gradient_clip_val": 0.5})
    recipes = {name: training.recipe for name, training in found_in(tmp_path).items()}
    assert recipes == {
        "a": "data=udacity, 8 epochs",
        "b": "data=udacity, 1 epoch",
        "c": "face/compact, loss=wing, stem=24, 8 epochs",
        "e": "data=udacity, gradient_clip_val=0.5, 8 epochs",
    }
    assert trainings([tmp_path], "udacity")[1] == {"d": "data=synthetic"}


def test_runs_before_are_part_of_a_recipe_its_commands_and_its_minutes(tmp_path: Path) -> None:
    first = write_run(tmp_path / "firsts/a", 600, experiment="face/drawn", **{"model.net.stem": 24})
    second = write_run(tmp_path / "firsts/b", 120, weights=first, **{"trainer.max_epochs": 4})
    write_run(tmp_path / "runs/c", weights=second, **{"model.net.stem": 24})
    write_run(tmp_path / "runs/d", weights="gone/checkpoints/best.ckpt")
    write_run(tmp_path / "runs/e", weights=f"{tmp_path}/runs/e/checkpoints/best.ckpt")
    found = found_in(tmp_path / "runs")
    stages = "data=udacity, stem=24, 8 epochs, after face/drawn, stem=24, 8 epochs and data=udacity, 4 epochs"
    assert found["c"].recipe == stages
    assert found["c"].minutes == 13.0
    assert found["c"].commands == [
        "python scripts/train.py data=udacity experiment=face/drawn model.net.stem=24 data.root=DIR",
        "python scripts/train.py data=udacity trainer.max_epochs=4 data.root=DIR weights=RUN1/checkpoints/best.ckpt",
        "python scripts/train.py data=udacity model.net.stem=24 data.root=DIR weights=RUN2/checkpoints/best.ckpt",
    ]
    assert (found["d"].recipe, found["d"].minutes) == ("data=udacity, 8 epochs, after other weights", None)
    assert found["d"].commands == ["python scripts/train.py data=udacity data.root=DIR weights=LOST"]
    assert found["e"].minutes is None


def test_data_and_detector_are_the_command_lines_own(script: Script, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    outcome = script("zoo", ".", "data=synthetic", "detector=whole_image")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: runs=.: expected runs with data=synthetic that are done, found none; ")


def record(
    nme: float, split: str = "subject", recipe: str = "face/compact, 80 epochs", seed: int = 0, second: int = 0
) -> Record:
    """Of a net whose every score is one number."""
    keys = ("nme_interocular", "nme_all", "auc_10", "failure_rate_10", "missed_faces", "faces")
    return Record(
        model="compact",
        recipe=recipe,
        data="udacity",
        split=split,
        seed=seed,
        commands=[f"python scripts/train.py data.split={split} seed={seed}"],
        date=f"2026-01-31T12:00:0{second or seed}",
        environment=None,
        measured=None,
        minutes=seed + 1.0,
        parameters=10,
        multiply_adds=20,
        ms={"torch": 1.0 + seed, "ONNX": 0.5},
        mean_shape_nme=20.0,
        best={"epoch": 80, "val/loss": 0.1, "val/nme": 5.0},
        warnings=[],
        scores={boxes: dict.fromkeys(keys, nme) for boxes in BOXES},
        curve={"val/nme": [9.0, 5.0]},
    )


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = [record(3.0), record(4.0, seed=1), record(5.0, split="official"), record(6.0, recipe="x" * 500)]
    assert all(one.write(tmp_path) for one in records)
    assert sorted(read(tmp_path, "udacity"), key=lambda one: one.name) == sorted(records, key=lambda one: one.name)
    assert re.fullmatch(r"compact_face_compact_80_epochs_subject_0_[0-9a-f]{6}\.json", records[0].name)
    assert len(records[3].name) < 140


def test_a_later_training_of_the_same_command_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    early, late = record(3.0, second=1), record(4.0, second=2)
    assert early.name == late.name
    assert [early.write(tmp_path), late.write(tmp_path), early.write(tmp_path)] == [True, True, False]
    assert read(tmp_path, "udacity") == [late]


def test_other_commands_have_other_files_and_rows() -> None:
    """Whatever a recipe in words leaves out."""
    one, other = record(3.0), dataclasses.replace(record(4.0), commands=["python scripts/train.py loss=mse seed=0"])
    assert one.name != other.name
    assert [row.records for row in rows([one, other])] == [[one], [other]]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": "compact"}'])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(UserError, match=r"odd\.json: expected a record as scripts/zoo\.py writes it"):
        read(tmp_path, "udacity")


def test_records_of_other_data_make_no_table(tmp_path: Path) -> None:
    record(3.0).write(tmp_path)
    with pytest.raises(UserError, match="expected records of nets trained with data=synthetic, found none"):
        read(tmp_path, "synthetic")


def test_seeds_of_a_recipe_are_one_row_with_its_spread() -> None:
    table = Table(rows([record(3.0, seed=1), record(4.0, seed=0), record(7.0, "official"), record(9.0, recipe="x")]))
    line, other = table.lines
    assert line["subject, detector"] == f"3.50 ± {math.sqrt(0.5):.2f}"
    assert (line["official, detector"], other["official, detector"]) == ("7.00", "–")
    assert (line["training (min)"], line["torch (ms)"]) == (f"{(2 + 1 + 1) / 3:.0f}", "2.0")  # timed last
    content = list(csv.DictReader(io.StringIO(table.csv)))
    assert len(content) == 4 * len(BOXES)


def test_dots_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []

    def legend(_: object, handles: list[Any], **__: object) -> None:
        labels.extend(handle.get_label() for handle in handles)

    monkeypatch.setattr("matplotlib.figure.Figure.legend", legend)
    Table(rows([record(5.0, recipe="a"), record(4.0, recipe="b")])).write(tmp_path)
    assert labels == ["1  compact: b", "2  compact: a"]


def test_a_net_that_was_not_scored_on_the_last_split_comes_last() -> None:
    records = [record(3.0, "official", "a"), record(5.0, recipe="b"), record(4.0, recipe="c")]
    shown = [(line["official, detector"], line["subject, detector"]) for line in Table(rows(records)).lines]
    assert shown == [("–", "4.00"), ("–", "5.00"), ("3.00", "–")]
    table = Table(rows([dataclasses.replace(records[0], minutes=None)]))
    assert table.lines[0]["training (min)"] == "–"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_shows_whole_cells_the_most_telling_ones(width: int) -> None:
    long = "face/compact, extra_train=[a], 80 epochs, after face/drawn, augmentation=strong, 20 epochs"
    seeds = [
        record(value, split, long, seed) for split, value in (("official", 3.0), ("subject", 4.0)) for seed in (0, 1)
    ]
    seeds[-1] = record(4.2, "subject", long, 1)
    table = Table(rows([*seeds, record(5.0)]))
    console = Console(width=width, file=io.StringIO())
    console.print(table.shown)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.startswith("2 recipes by NME (inter-ocular, %), subject, detector\n")
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    assert {"compact", "face/compact,", "extra_train=[a],", "4.10", "0.14"} <= {*words}
    assert ("ONNX" in words, "training" in words) == (width >= 80, width >= 120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "runs=nowhere: expected a folder"),
        ((".",), "found none"),
        (("results=nowhere",), "results=nowhere: expected records of nets trained with data=udacity, found none"),
        ((".", "detector=none"), "detector=none: no such option"),
        ((".", "repeats=1"), "repeats: expected a whole number from 2 on"),
    ],
)
def test_what_cannot_be_is_one_line(script: Script, arguments: tuple[str, ...], message: str) -> None:
    outcome = script("zoo", *arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert not Path("outputs").exists()
