"""The table of nets against scripts/evaluate.py and sums done by hand."""

import csv
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

from fkd import images, zoo
from fkd.comparison import Run
from fkd.errors import UserError
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
    config = Path("runs/a/.hydra/config.yaml")  # a stranger's
    evil = {"_target_": "os.mkdir", "path": "evil"}
    config.write_text(yaml.dump(yaml.safe_load(config.read_text()) | {"data": {"source": evil}, "detector": evil}))
    readme = Path("README.md")
    readme.write_text("before\n<!-- zoo -->\nold\n<!-- /zoo -->\nafter\n")
    outcome = script("zoo", "runs", *source, "output=out", "repeats=2", "into=README.md")
    assert outcome.status == 0, outcome.err
    assert not Path("evil").exists()
    assert "left out: cut (failed: why)" in outcome.out
    assert re.search(
        r"left out: seen \(subject: of (\d+) people kept for the test the net has learned from \1\)", outcome.out
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

    (line,) = zoo_lines(readme.read_text())
    b, c = (scores[run]["nme_interocular"] for run in "bc")
    assert line["net"] == "simple"
    assert line["subject, keypoints"] == f"{(b + c) / 2:.2f} ± {abs(b - c) / math.sqrt(2):.2f}"
    assert line["official, keypoints"] == f"{scores['a']['nme_interocular']:.2f}"
    text = readme.read_text()
    assert text.startswith("before\n<!-- zoo -->\n|")
    assert text.endswith("|\n<!-- /zoo -->\nafter\n")
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
    assert zoo.multiply_adds(net) == 7 * 7 * 4 * 9 + 4 * 7 * 7 * 10


def write_run(folder: Path, seconds: float | None = 60.0, **settings: Any) -> str:
    """A run that looks done; gives its weights."""
    best = folder / "checkpoints/best.ckpt"
    best.parent.mkdir(parents=True)
    best.touch()
    known = {"model": "compact", "data": "udacity", "trainer.max_epochs": 8, "seed": 0, **settings}
    content = {"status": "done", "settings": known, "seconds": seconds, "overrides": [], "recipe": str(known)}
    (folder / "result.json").write_text(json.dumps(content))
    return str(best)


def found_in(folder: Path) -> dict[str, tuple[int, float | None]]:
    """Name of each entry -> its runs and minutes."""
    entries, _ = zoo.entries([folder], "udacity")
    assert len({entry.name for entry in entries}) == len(entries)
    return {entry.name: (len(entry.trainings), entry.minutes) for entry in entries}


def test_runs_of_one_recipe_are_one_row_and_a_recipe_says_what_sets_it_apart(tmp_path: Path) -> None:
    weights = write_run(tmp_path / "drawn", data="synthetic", seconds=600)
    write_run(tmp_path / "a", **{"data.split": "subject"})
    write_run(tmp_path / "b", seconds=120, seed=1, **{"data.split": "official"})
    write_run(tmp_path / "c", weights=weights)
    write_run(tmp_path / "d", weights="gone/checkpoints/best.ckpt")
    write_run(tmp_path / "e", **{"model.net.stem": 24})
    write_run(tmp_path / "f", experiment="face/compact", loss="wing")
    assert found_in(tmp_path) == {
        "default, 8 epochs": (2, 1.5),
        "default, synthetic 8 epochs first, 8 epochs": (1, 11.0),
        "default, other weights first, 8 epochs": (1, None),
        "default, stem=24, 8 epochs": (1, 1.0),
        "face/compact, 8 epochs": (1, 1.0),
    }
    assert zoo.entries([tmp_path], "udacity")[1] == {"drawn": "data=synthetic"}


def test_one_epoch_is_one_and_dots_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "runs/a", **{"trainer.max_epochs": 1})
    assert found_in(tmp_path / "runs") == {"default, 1 epoch": (1, 1.0)}
    labels: list[str] = []

    def legend(_: object, handles: list[Any], **__: object) -> None:
        labels.extend(handle.get_label() for handle in handles)

    monkeypatch.setattr("matplotlib.figure.Figure.legend", legend)
    zoo.Table([row({"subject": [5.0]}, "a"), row({"subject": [4.0]}, "b")]).write(tmp_path, None)
    assert labels == ["1  compact: b", "2  compact: a"]


def test_data_and_detector_are_the_command_lines_own(script: Script, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    outcome = script("zoo", ".", "data=synthetic", "detector=whole_image")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: runs=.: expected runs with data=synthetic that are done, found none; ")


def test_weights_of_one_recipe_are_one_start_whatever_their_seed(tmp_path: Path) -> None:
    for seed, minutes in enumerate((10, 20)):
        weights = write_run(tmp_path / f"firsts/{seed}", data="synthetic", seed=seed, seconds=60.0 * minutes)
        write_run(tmp_path / f"runs/{seed}", seed=seed, weights=weights)
    assert found_in(tmp_path / "runs") == {"default, synthetic 8 epochs first, 8 epochs": (2, 16.0)}


def test_weights_of_several_recipes_are_several_starts(tmp_path: Path) -> None:
    drawn = [
        write_run(tmp_path / f"firsts/{n}", data="synthetic", augmentation=augmentation, **{"data.subjects": n})
        for n, augmentation in ((100, "light"), (5000, "strong"))
    ]
    split = [write_run(tmp_path / f"firsts/{name}", **{"data.split": name}) for name in ("official", "subject")]
    second = [
        write_run(tmp_path / f"seconds/{n}", 120, weights=weights, **{"trainer.max_epochs": 4})
        for n, weights in enumerate(drawn)
    ]
    for n, weights in enumerate([*drawn, *split, *second]):
        write_run(tmp_path / f"runs/{n}", weights=weights)
    light, strong = "augmentation=light, subjects=100", "augmentation=strong, subjects=5000"
    assert found_in(tmp_path / "runs") == {
        f"default, synthetic 8 epochs ({light}) first, 8 epochs": (1, 2.0),
        f"default, synthetic 8 epochs ({strong}) first, 8 epochs": (1, 2.0),
        "default, udacity 8 epochs (split=official) first, 8 epochs": (1, 2.0),
        "default, udacity 8 epochs (split=subject) first, 8 epochs": (1, 2.0),
        f"default, synthetic 8 epochs ({light}) and udacity 4 epochs first, 8 epochs": (1, 4.0),
        f"default, synthetic 8 epochs ({strong}) and udacity 4 epochs first, 8 epochs": (1, 4.0),
    }


def test_weights_whose_run_is_gone_are_told_apart_by_their_name(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    for name, weights in (("a", "/best.ckpt"), ("b", "x.ckpt"), ("loop", f"{loop}/checkpoints/best.ckpt")):
        write_run(tmp_path / name, weights=weights)
    write_run(tmp_path / "c", seconds=None)
    assert found_in(tmp_path) == {
        "default, other weights (/best.ckpt) first, 8 epochs": (1, None),
        "default, other weights (x.ckpt) first, 8 epochs": (1, None),
        "default, other weights and udacity 8 epochs first, 8 epochs": (1, None),
        "default, 8 epochs": (1, None),
    }


def row(scores: dict[str, list[float]], name: str = "face/compact, 80 epochs") -> zoo.Row:
    """Of a net whose every score on a split is one number."""
    keys = ("nme_interocular", "nme_all", "auc_10", "failure_rate_10", "missed_faces", "faces")
    of_runs = {split: [dict.fromkeys(keys, value) for value in values] for split, values in scores.items()}
    in_boxes = {(split, boxes): metrics for split, metrics in of_runs.items() for boxes in zoo.BOXES}
    training = zoo.Training(Run(Path("run"), "run", "done"), (), None)
    return zoo.Row(zoo.Entry("compact", name, [training]), 10, 20, {"torch": 1.0, "ONNX": 0.5}, in_boxes)


def test_a_net_that_was_not_scored_on_the_last_split_comes_last() -> None:
    table = zoo.Table([row({"official": [3.0]}), row({"subject": [5.0]}), row({"subject": [4.0]})])
    shown = [(line["official, detector"], line["subject, detector"]) for line in table.lines]
    assert shown == [("–", "4.00"), ("–", "5.00"), ("3.00", "–")]
    assert table.lines[0]["training (min)"] == "–"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_shows_whole_cells_the_most_telling_ones(width: int) -> None:
    long = "face/compact, synthetic 20 epochs (augmentation=strong, mix=[a]) first, 80 epochs"
    table = zoo.Table([row({"official": [3.0, 3.1], "subject": [4.0, 4.2]}, long), row({"subject": [5.0]})])
    console = Console(width=width, file=io.StringIO())
    console.print(table.shown)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.startswith("2 recipes by NME (inter-ocular, %), subject, detector\n")
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    assert {"compact", "face/compact,", "mix=[a])", "4.10", "0.14"} <= {*words}
    assert ("ONNX" in words, "training" in words) == (width >= 80, width >= 120)


@pytest.mark.parametrize("text", ["no table", "<!-- zoo -->\nno end", "<!-- /zoo -->\n<!-- zoo -->\n"])
def test_a_file_without_a_place_for_the_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(UserError, match="expected the lines <!-- zoo --> and <!-- /zoo -->"):
        zoo.around_table(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "runs=nowhere: expected a folder"),
        ((".",), "found none"),
        ((".", "detector=none"), "detector=none: no such option"),
        ((".", "into=none.md"), "into=none.md: expected a Markdown file"),
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
