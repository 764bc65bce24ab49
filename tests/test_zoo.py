"""The table of nets against scripts/evaluate.py and sums done by hand."""

import csv
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fkd import images, zoo
from fkd.comparison import Run
from fkd.errors import UserError
from tests.conftest import Outcome

Script = Callable[..., Outcome]


@pytest.fixture
def train(script: Script, faces_root: Path) -> Callable[..., None]:
    def run(folder: str, *overrides: str) -> None:
        sources = (f"data.root={faces_root}", f"data.cache_dir={faces_root.parent / 'cache'}", "detector=whole_image")
        quick = (
            "model=simple",
            "crop.size=48",
            "trainer.max_epochs=1",
            "trainer.precision=32",
            "test=false",
            "data.batch_size=8",
        )
        outcome = script("train", "data=udacity", *sources, *quick, f"hydra.run.dir={folder}", *overrides)
        assert outcome.status == 0, outcome.err

    return run


def test_the_table_has_what_evaluate_measures(script: Script, train: Callable[..., None], faces_root: Path) -> None:
    train("runs/first", "data.split=subject", "seed=5")
    train("runs/a")
    train("runs/b", "data.split=subject")
    train("runs/c", "data.split=subject", "seed=1")
    shutil.copytree("runs/a", "runs/cut")
    Path("runs/cut/result.json").write_text(Path("runs/a/result.json").read_text().replace('"done"', '"failed: why"'))
    readme = Path("README.md")
    readme.write_text("before\n<!-- zoo -->\nold\n<!-- /zoo -->\nafter\n")
    outcome = script("zoo", "runs", "output=out", "repeats=2", "into=README.md")
    assert outcome.status == 0, outcome.err
    assert "left out: cut (failed: why)" in outcome.out

    with Path("out/zoo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 4  # keypoints and detector of four runs
    (official,) = (row for row in rows if row["split"] == "official" and row["boxes"] == "keypoints")
    ckpt = "ckpt=runs/a/checkpoints/best.ckpt"
    source = (f"data.root={faces_root}", f"data.cache_dir={faces_root.parent / 'cache'}", "detector=whole_image")
    assert script("evaluate", ckpt, "data=udacity", *source, "hydra.run.dir=scores").status == 0
    metrics = json.loads(Path("scores/metrics.json").read_text())
    assert float(official["nme_interocular"]) == pytest.approx(metrics["nme_interocular"], rel=1e-4)
    assert float(official["auc_10"]) == pytest.approx(metrics["auc_10"], abs=1e-4)

    (line,) = zoo_lines(readme.read_text())
    values = [float(r["nme_interocular"]) for r in rows if (r["split"], r["boxes"]) == ("subject", "keypoints")]
    mean = sum(values) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    assert line["net"] == "simple"
    assert line["subject, keypoints"] == f"{mean:.2f} ± {deviation:.2f}"
    assert line["official, keypoints"] == f"{metrics['nme_interocular']:.2f}"
    text = readme.read_text()
    assert text.startswith("before\n<!-- zoo -->\n|")
    assert text.endswith("|\n<!-- /zoo -->\nafter\n")
    assert images.read("out/zoo.png", 3).std() > 5


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


def write_run(folder: Path, seconds: float = 60.0, **settings: Any) -> Run:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/best.ckpt").touch()
    known = {"model": "compact", "data": "udacity", "trainer.max_epochs": 8, "seed": 0, **settings}
    content = {"status": "done", "settings": known, "seconds": seconds, "overrides": [], "recipe": str(known)}
    (folder / "result.json").write_text(json.dumps(content))
    return Run(folder, folder.name, "done")


def test_runs_of_one_recipe_are_one_row_and_a_recipe_says_what_sets_it_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "drawn", data="synthetic", seconds=600)
    weights = str(tmp_path / "drawn/checkpoints/best.ckpt")
    write_run(tmp_path / "a", **{"data.split": "subject"})
    write_run(tmp_path / "b", seconds=120, seed=1, **{"data.split": "official"})
    write_run(tmp_path / "c", weights=weights)
    write_run(tmp_path / "d", weights="gone/checkpoints/best.ckpt")
    write_run(tmp_path / "e", **{"model.net.stem": 24})
    write_run(tmp_path / "f", experiment="face/compact", loss="wing")
    found, left_out = zoo.recipes([tmp_path], "udacity")
    assert {recipe.name: (len(recipe.runs), recipe.minutes) for recipe in found} == {
        "default, 8 epochs": (2, 1.5),
        "default, synthetic 8 epochs first, 8 epochs": (1, 11.0),
        "default, other weights first, 8 epochs": (1, None),
        "default, stem=24, 8 epochs": (1, 1.0),
        "face/compact, 8 epochs": (1, 1.0),
    }
    assert left_out == {"drawn": "data=synthetic"}


def test_a_net_that_was_not_scored_on_the_last_split_comes_last() -> None:
    recipe = zoo.Recipe("compact", "face/compact, 80 epochs", (), None)

    def row(split: str, nme: float) -> zoo.Row:
        metrics = dict.fromkeys(
            ("nme_interocular", "nme_all", "auc_10", "failure_rate_10", "missed_faces", "faces"), nme
        )
        scores = {(split, boxes): [metrics] for boxes in zoo.BOXES}
        return zoo.Row(recipe, 10, 20, {"torch": 1.0, "ONNX": 0.5}, scores)

    table = zoo.Table([row("official", 3.0), row("subject", 5.0), row("subject", 4.0)])
    shown = [(line["official, detector"], line["subject, detector"]) for line in table.lines]
    assert shown == [("–", "4.00"), ("–", "5.00"), ("3.00", "–")]
    assert table.lines[0]["training (min)"] == "–"


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
    assert not Path("zoo").exists()
