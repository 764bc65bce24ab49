"""Figures of a benchmark, measured in turns; as tables, bars and JSON."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.table import Table

from fkd.visualization import plots

WARM_UP = 3
"""Calls before each block that are not timed."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        median, low, high: median and quartiles, in `unit`.
        unit: e.g. "ms".
        faces: number of faces found in one pass over the images, which shows that the work was done; else None.
    """

    name: str
    median: float
    low: float
    high: float
    unit: str
    faces: int | None

    @classmethod
    def of(cls, name: str, values: Sequence[float], unit: str, faces: int | None = None) -> "Row":
        values = values if len(values) > 1 else [*values] * 2  # quartiles need two
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(name, round(median, 3), round(low, 3), round(high, 3), unit, faces)


def one_thread() -> None:
    """Limit torch and OpenCV to one thread; nets in ONNX Runtime use one anyway."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def in_turn(
    calls: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = WARM_UP, block: int = 1
) -> dict[str, list[float]]:
    """Milliseconds of each call, `repeats` times; the calls alternate, each `block` times in a row.

    Each block starts with `warm_up` calls that are not timed, since other calls have filled the processor's caches.
    """
    values: dict[str, list[float]] = {name: [] for name in calls}
    for first in range(0, repeats, block):
        for name, call in calls.items():
            for turn in range(-warm_up, min(block, repeats - first)):
                start = time.perf_counter()
                call()
                if turn >= 0:
                    values[name].append(1000 * (time.perf_counter() - start))
    return values


def table(title: str, rows: Sequence[Row]) -> Table:
    """Medians with their quartiles."""
    counted = any(row.faces is not None for row in rows)
    figures = Table("", "median", "quartiles", "unit", *["faces"] * counted, title=title, title_justify="left")
    for row in rows:
        faces = "-" if row.faces is None else f"{row.faces:,}"
        spread = f"{row.low:,.2f} to {row.high:,.2f}"
        figures.add_row(row.name, f"{row.median:,.2f}", spread, row.unit, *[faces] * counted)
    return figures


def as_json(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[dict[str, Any]]]:
    """Title -> rows, for `benchmark.json`."""
    return {title: [asdict(row) for row in group] for title, group in rows.items()}


def bars(rows: Mapping[str, Sequence[Row]], path: Path) -> None:
    """The figures of each group with its first unit as bars, as a PNG; groups of one figure are left out."""
    panels = {
        f"{title} ({group[0].unit})": {r.name: (r.low, r.median, r.high) for r in group if r.unit == group[0].unit}
        for title, group in rows.items()
        if len(group) > 1
    }
    plots.bars(panels, "fkd", path)
