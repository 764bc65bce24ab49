"""The table of nets: Markdown for a page, CSV for programs, an image, and lines for a terminal."""

import csv
import io
import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import numpy as np
import rich.box
import rich.table
from rich.text import Text

from benchmarks.tables import markdown
from benchmarks.tables.markdown import NONE, spread
from benchmarks.zoo.records import BOXES, Record
from fkd.comparison.table import Fitting, Variant
from fkd.io.atomic import whole_file
from fkd.visualization import plots

_LONGEST = 110
"""The most characters of a name in the image."""
_NARROWEST = 28
"""Least width of the recipe in a terminal, in characters."""


@dataclass(frozen=True)
class Row:
    """Trainings of one net with one recipe, which differ in split and seed only.

    Attributes:
        records: at least one, the latest last.
    """

    records: Sequence[Record]

    @property
    def last(self) -> Record:
        """The latest record, with the latest timing."""
        return self.records[-1]

    @property
    def minutes(self) -> float | None:
        """Mean duration of a training; None if it is unknown."""
        known = [record.minutes for record in self.records if record.minutes is not None]
        return mean(known) if len(known) == len(self.records) else None

    def scores(self, split: str, boxes: str) -> list[Mapping[str, Any]]:
        """Content of `metrics.json` of each training."""
        return [record.scores[boxes] for record in self.records if record.split == split and boxes in record.scores]

    def values(self, split: str, boxes: str, key: str) -> list[float]:
        """A score of each training that has it."""
        return [float(metrics[key]) for metrics in self.scores(split, boxes) if key in metrics]


def rows(records: Sequence[Record]) -> list[Row]:
    """The records, grouped by net and recipe."""
    groups = defaultdict[str, list[Record]](list)
    for record in sorted(records, key=lambda record: (record.date, record.name)):
        groups[record.kind].append(record)
    return [Row(group) for group in groups.values()]


class Table:
    """Rows as text and numbers, best first: by the error in a detector's boxes on the last of the splits.

    Args:
        rows: in any order.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.splits = sorted({record.split for row in rows for record in row.records})
        self.last = self.splits[-1]
        self.score = f"NME (inter-ocular, %), {self.last}, {BOXES[-1]}"
        self.rows = sorted(rows, key=lambda row: (mean(self._errors(row) or [math.inf]), row.last.name))

    def _errors(self, row: Row) -> list[float]:
        return row.values(self.last, BOXES[-1], "nme_interocular")

    @property
    def lines(self) -> list[dict[str, str]]:
        """Heading -> cell, for each row."""
        return [self._line(place, row) for place, row in enumerate(self.rows, 1)]

    def _line(self, place: int, row: Row) -> dict[str, str]:
        line = {
            "#": str(place),
            "net": row.last.model,
            "recipe": row.last.recipe,
            "params (M)": f"{row.last.parameters / 1e6:.2f}",
            "mult-adds (M)": f"{row.last.multiply_adds / 1e6:.0f}",
            **{f"{name} (ms)": f"{ms:.1f}" if ms < 10 else f"{ms:.0f}" for name, ms in row.last.ms.items()},
            "training (min)": NONE if row.minutes is None else f"{row.minutes:.0f}",
        }
        for split in self.splits:
            for boxes in BOXES:
                line[f"{split}, {boxes}"] = spread(row.values(split, boxes, "nme_interocular"), 2)
        for title, key, digits in (("AUC", "auc_10", 3), ("failures (%)", "failure_rate_10", 1)):
            line[title] = spread(row.values(self.last, BOXES[-1], key), digits)
        return line

    @property
    def markdown(self) -> str:
        """The same for a page."""
        lines = self.lines
        return markdown.table([*lines[0]], [[*line.values()] for line in lines])

    @property
    def csv(self) -> str:
        """The same for programs, each score of each run in full."""
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        scores = ("nme_interocular", "nme_all", "auc_10", "failure_rate_10", "missed_faces", "faces")
        costs = ("parameters", "multiply_adds", "torch_ms", "onnx_ms", "minutes")
        writer.writerow(["net", "recipe", *costs, "split", "seed", "boxes", *scores])
        for record in (record for row in self.rows for record in row.records):
            figures = [
                record.model,
                record.recipe,
                record.parameters,
                record.multiply_adds,
                record.ms["torch"],
                record.ms["ONNX"],
            ]
            for boxes, metrics in record.scores.items():
                place = [record.minutes, record.split, record.seed, boxes]
                writer.writerow([*figures, *place, *(metrics.get(key) for key in scores)])
        return content.getvalue()

    @property
    def shown(self) -> Fitting:
        """The same for a terminal, with as many columns as fit."""
        nme = [f"{split}, {boxes}" for boxes in reversed(BOXES) for split in reversed(self.splits)]
        detected, given = nme[: len(self.splits)], nme[len(self.splits) :]
        figures = [*detected, "ONNX (ms)", "training (min)", *given, "AUC", "failures (%)", "params (M)"]
        slack = max(0, max(len(row.last.recipe) for row in self.rows) - _NARROWEST)
        counts = range(len(figures), 0, -1)
        variants = [Variant(self._with(figures[:count]), slack, len(figures) - count) for count in counts]
        recipes = "1 recipe" if len(self.rows) == 1 else f"{len(self.rows)} recipes"
        return Fitting(f"{recipes} by {self.score}", variants, "zoo.csv")

    def _with(self, figures: Sequence[str]) -> rich.table.Table:
        """The lines with some of their figures; the recipe is folded."""
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        headings = ("#", "net", "recipe", *figures)
        for title in headings:
            broken = title.replace(", ", "\n").replace(" (", "\n(")
            justify: Literal["left", "right"] = "left" if title in ("net", "recipe") else "right"
            table.add_column(broken, justify=justify, no_wrap=title != "recipe")
        for line in self.lines:
            table.add_row(*(Text(line[title]) for title in headings))
        return table

    def write(self, folder: Path) -> None:
        """Write `zoo.md`, `zoo.csv` and `zoo.png`: error against cost, each row a numbered point, listed below.

        The folder must exist.
        """
        for name, content in (("zoo.md", self.markdown), ("zoo.csv", self.csv)):
            with whole_file(folder / name) as file:
                file.write(content.encode())
        rows = [row for row in self.rows if self._errors(row)]
        costs = {
            "ms a face on one thread (ONNX)": np.array([row.last.ms["ONNX"] for row in rows]),
            "parameters": np.array([float(row.last.parameters) for row in rows]),
        }
        errors = np.array([mean(self._errors(row)) for row in rows])
        names = [textwrap.shorten(f"{row.last.model}: {row.last.recipe}", _LONGEST, placeholder=" …") for row in rows]
        plots.cost(costs, errors, self.score, folder / "zoo.png", names=names)
