"""The model zoo: what recipes reach and what their nets cost, from the folders of their runs."""

import csv
import io
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import rich.box
import rich.table
import torch
from omegaconf import DictConfig, OmegaConf
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode
from yaml import YAMLError

from fkd import experiment, plots
from fkd.benchmark.figures import one_thread
from fkd.benchmark.prediction import nets
from fkd.comparison import Run, read
from fkd.comparison.columns import words
from fkd.comparison.settings import canonical, chosen, differing
from fkd.data.faces import Faces
from fkd.errors import UserError
from fkd.evaluation import evaluate
from fkd.export import to_onnx
from fkd.files import whole_file
from fkd.inference import TorchNet
from fkd.module import KeypointModule
from fkd.onnx import OnnxNet
from fkd.predictor import Net
from fkd.resume import is_learned

BOXES = ("keypoints", "detector")
"""The kinds of boxes that each net is scored with."""
_BEGIN, _END = "<!-- zoo -->\n", "<!-- /zoo -->"
_BATCH = 64
_OF_RUNS = {"seed", "data.split", "data.split_seed", "test", "boxes"}
"""Settings in which the runs of one recipe may differ."""
_NAMED = {"model", "experiment", "weights", "trainer.max_epochs"}
"""Settings that every name of a recipe has."""


@dataclass(frozen=True)
class Recipe:
    """Runs that differ in their split and seed only.

    Attributes:
        model: the config's name of the network.
        name: the recipe in words.
        runs: those that are done.
        minutes: of one training on average, with that of the run that gave the first weights; None if that is unknown.
    """

    model: str
    name: str
    runs: Sequence[Run]
    minutes: float | None


@dataclass(frozen=True)
class Row:
    """A recipe, what it reaches and what its net costs.

    Attributes:
        recipe: what was trained.
        parameters: their number.
        multiply_adds: for one face.
        ms: "torch" and "ONNX" -> milliseconds for one face on one thread, medians.
        scores: (split, boxes) -> content of `metrics.json` of each run.
    """

    recipe: Recipe
    parameters: int
    multiply_adds: int
    ms: Mapping[str, float]
    scores: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]

    def values(self, split: str, boxes: str, key: str) -> list[float]:
        """A score of each run."""
        return [float(metrics[key]) for metrics in self.scores.get((split, boxes), ())]


def recipes(folders: Sequence[Path], data: str) -> tuple[list[Recipe], dict[str, str]]:
    """What was trained on `data` in and below the folders; and the runs left out, with the reason.

    Raises:
        UserError: there is no run that can be used.
    """
    groups, left_out = defaultdict[Hashable, list[Run]](list), {}
    for run in read(folders):
        if run.settings.get("data") != data:
            left_out[run.name] = f"data={run.settings.get('data')}"
        elif run.status != "done":
            left_out[run.name] = run.status + (run.reason and f": {run.reason}")
        elif not _best(run).is_file():
            left_out[run.name] = f"{_best(run)} is not there"
        else:
            groups[tuple(sorted((key, canonical(value)) for key, value in _recipe(run).items()))].append(run)
    if not groups:
        where = ", ".join(map(str, folders))
        raise UserError(f"runs={where}: expected runs with data={data} that are done, found none; train some, or data=")
    return [_described(runs, [other[0] for other in groups.values()]) for runs in groups.values()], left_out


def measure(found: Sequence[Recipe], repeats: int) -> list[Row]:
    """Scores every run's best checkpoint on its own test split and times one net of each recipe, all of them in turn.

    Args:
        repeats: calls of each net.

    Raises:
        UserError: a checkpoint or its data cannot be read, or `fkd[export]` is not installed.
    """
    faces = cache(_faces)
    scores, modules = [], []
    for recipe in track(found, "scoring nets"):
        of_recipe = defaultdict[tuple[str, str], list[Mapping[str, Any]]](list)
        for run in recipe.runs:
            module = experiment.load(_best(run))
            config = _config(run)
            splits = faces(json.dumps(OmegaConf.to_container(config.data, resolve=True)), module.channels)
            crop, detector = experiment.build_crop(config.crop), experiment.build_detector(config)
            for boxes in BOXES:
                scored = evaluate(module, splits, "test", crop, boxes, detector, _BATCH)
                of_recipe[_split(run), boxes].append(scored.metrics)
        scores.append(of_recipe)
        modules.append(module)
    times = _milliseconds(modules, repeats)
    return [
        Row(recipe, sum(p.numel() for p in module.net.parameters()), multiply_adds(module), ms, dict(of_recipe))
        for recipe, module, ms, of_recipe in zip(found, modules, times, scores, strict=True)
    ]


def _milliseconds(modules: Sequence[KeypointModule], repeats: int) -> list[dict[str, float]]:
    """For one face, of each net in torch and in ONNX Runtime."""
    named: dict[str, Net] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, module in enumerate(track(modules, "exporting nets")):
            net, path = TorchNet(module, experiment.build_crop(module.config["crop"]).window), Path(scratch, "net.onnx")
            to_onnx(module, net.facts.window, path)
            named |= {f"{number} torch": net, f"{number} ONNX": OnnxNet(path)}
    one_thread()
    medians = [row.median for row in nets(named, repeats)]
    return [dict(zip(("torch", "ONNX"), pair, strict=True)) for pair in zip(medians[::2], medians[1::2], strict=True)]


def multiply_adds(module: KeypointModule) -> int:
    """Of the net's convolutions, matrix products and attention, for one face."""
    image = torch.zeros(1, module.channels, module.size, module.size, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return int(counter.get_total_flops()) // 2


class Table:
    """Rows as text and numbers, best first: by the error in a detector's boxes on the last of the splits.

    Args:
        rows: in any order.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.splits = sorted({split for row in rows for split, _ in row.scores})
        self.last = self.splits[-1]
        self.rows = sorted(rows, key=lambda row: (mean(self._errors(row) or [math.inf]), row.recipe.name))

    def _errors(self, row: Row) -> list[float]:
        return row.values(self.last, BOXES[-1], "nme_interocular")

    @property
    def lines(self) -> list[dict[str, str]]:
        """Heading -> what stands below it, for each row."""
        return [self._line(place, row) for place, row in enumerate(self.rows, 1)]

    def _line(self, place: int, row: Row) -> dict[str, str]:
        line = {
            "#": str(place),
            "net": row.recipe.model,
            "recipe": row.recipe.name,
            "params (M)": f"{row.parameters / 1e6:.2f}",
            "mult-adds (M)": f"{row.multiply_adds / 1e6:.0f}",
            **{f"{name} (ms)": f"{ms:.2g}" if ms < 10 else f"{ms:.0f}" for name, ms in row.ms.items()},
            "training (min)": "–" if row.recipe.minutes is None else f"{row.recipe.minutes:.0f}",
        }
        for split in self.splits:
            for boxes in BOXES:
                line[f"{split}, {boxes}"] = _spread(row.values(split, boxes, "nme_interocular"), 2)
        for title, key, digits in (("AUC", "auc_10", 3), ("failures (%)", "failure_rate_10", 1)):
            line[title] = _spread(row.values(self.last, BOXES[-1], key), digits)
        return line

    @property
    def markdown(self) -> str:
        """The same for a README."""
        lines = self.lines
        cells = [list(lines[0]), ["---"] * len(lines[0]), *(list(line.values()) for line in lines)]
        return "".join(f"| {' | '.join(line)} |\n" for line in cells)

    @property
    def csv(self) -> str:
        """The same for programs, each score of each run in full."""
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        scores = ("nme_interocular", "nme_all", "auc_10", "failure_rate_10", "missed_faces", "faces")
        writer.writerow(
            [
                "net",
                "recipe",
                "parameters",
                "multiply_adds",
                "torch_ms",
                "onnx_ms",
                "minutes",
                "split",
                "boxes",
                *scores,
            ]
        )
        for row in self.rows:
            recipe = row.recipe
            figures = [recipe.model, recipe.name, row.parameters, row.multiply_adds, *row.ms.values(), recipe.minutes]
            for (split, boxes), runs in row.scores.items():
                writer.writerows([*figures, split, boxes, *(metrics[key] for key in scores)] for metrics in runs)
        return content.getvalue()

    @property
    def shown(self) -> rich.table.Table:
        """The same for a terminal, without what its width has no room for."""
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        headings = [title for title in self.lines[0] if title not in ("params (M)", "mult-adds (M)", "torch (ms)")]
        for title in headings:
            text = title in ("net", "recipe")
            broken = title.replace(", ", "\n").replace(" (", "\n(")
            table.add_column(broken, justify="left" if text else "right", no_wrap=title != "recipe")
        for line in self.lines:
            table.add_row(*(line[title] for title in headings))
        return table

    def write(self, folder: Path, into: Path | None) -> None:
        """Writes `zoo.md`, `zoo.csv` and `zoo.png`: error against cost, each row a point with its number.

        Args:
            folder: it must exist.
            into: a Markdown file whose table is replaced, or None.
        """
        if into is not None:
            with whole_file(into) as file:
                file.write(self.markdown.join(around_table(into)).encode())
        for name, content in (("zoo.md", self.markdown), ("zoo.csv", self.csv)):
            with whole_file(folder / name) as file:
                file.write(content.encode())
        rows = [row for row in self.rows if self._errors(row)]
        costs = {
            "ms a face on one thread (ONNX)": np.array([row.ms["ONNX"] for row in rows]),
            "parameters": np.array([float(row.parameters) for row in rows]),
        }
        errors = np.array([mean(self._errors(row)) for row in rows])
        plots.cost(costs, errors, f"NME (inter-ocular, %), {self.last}, {BOXES[-1]}", folder / "zoo.png")


def around_table(path: Path) -> tuple[str, str]:
    """What stands before and after the table in a Markdown file, with the two marks between which it lies.

    Raises:
        UserError: the file cannot be read or has no such place.
    """
    try:
        before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"into={path}: expected a Markdown file, found none ({error}); give another") from None
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise UserError(f"into={path}: expected the lines {_BEGIN.strip()} and {_END}, found none; write them there")
    return before + begin, end + after


def _recipe(run: Run) -> dict[str, Any]:
    """The settings that runs of one recipe share; of the run whose weights it began with, its data and length."""
    shared = {key: value for key, value in run.settings.items() if is_learned(key) and key not in _OF_RUNS}
    if run.settings.get("weights") is None:
        return shared
    first = _first(run)
    known = f"{first.settings.get('data')} {_epochs(first)} first" if first else "other weights first"
    return shared | {"weights": known}


def _described(runs: Sequence[Run], others: Sequence[Run]) -> Recipe:
    """A recipe in the words that set it apart from the others of the same net and experiment."""
    settings = _recipe(runs[0])
    alike = [_recipe(other) for other in others]
    alike = [other for other in alike if all(other.get(key) == settings.get(key) for key in ("model", "experiment"))]
    given = chosen(json.loads((runs[0].path / "result.json").read_bytes()))
    apart = words(settings, [key for key in differing(alike) if key in given and key not in _NAMED])
    name = [settings.get("experiment") or "default", apart, settings.get("weights"), _epochs(runs[0])]
    return Recipe(str(settings.get("model")), ", ".join(filter(None, name)), runs, _minutes(runs))


def _minutes(runs: Sequence[Run]) -> float | None:
    first = _first(runs[0])
    before = 0.0 if runs[0].settings.get("weights") is None else (first.seconds if first else None)
    known = [seconds for seconds in (before, *(run.seconds for run in runs)) if seconds is not None]
    return (known[0] + mean(known[1:])) / 60 if len(known) > len(runs) else None


def _epochs(run: Run) -> str:
    return f"{run.settings.get('trainer.max_epochs')} epochs"


def _first(run: Run) -> Run | None:
    """The run whose weights a run began with, if it did and that is still there."""
    weights = run.settings.get("weights")
    folder = None if weights is None else Path(str(weights)).absolute().parents[1]
    return read([folder])[0] if folder and (folder / "result.json").is_file() else None


def _best(run: Run) -> Path:
    return run.path / "checkpoints" / "best.ckpt"


def _config(run: Run) -> DictConfig:
    """All that a run was told, as it lies in its folder."""
    path = run.path / ".hydra" / "config.yaml"
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError) as error:
        raise UserError(
            f"{path}: expected the config of a run ({' '.join(str(error).split())}); leave this run out"
        ) from None
    assert isinstance(config, DictConfig)
    return config


def _split(run: Run) -> str:
    """What a split is called: its setting, or the data where these have but one."""
    return str(run.settings.get("data.split") or run.settings.get("data"))


def _faces(data: str, channels: int) -> Faces:
    return experiment.build_faces(OmegaConf.create({"data": json.loads(data), "channels": channels}))


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
