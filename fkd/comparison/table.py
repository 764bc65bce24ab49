"""The comparison for the terminal and as a CSV file."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column as TableColumn
from rich.table import Table
from rich.text import Text

from fkd.comparison.columns import COLUMNS, Column, ranked_keys, recipe_keys, used, words
from fkd.comparison.ranking import Ranking, Spread
from fkd.comparison.run_reader import TRAINED_ON, Run
from fkd.comparison.settings import Settings, short_names, text
from fkd.io.atomic import whole_file

_LEFT_OUT = {"test": ("best epoch", "val NME (%)", "time"), "val": ("best epoch", "time")}
"""Columns that are never shown in a terminal; the page and the CSV file have them."""
_WITH_SPREAD = ("val NME (%)", "test NME (%)", "test NME, all (%)")
"""Columns that show the standard deviation in a terminal; on the page all columns do."""
_NARROWEST = 32
"""Least width of a column whose text is folded, in characters."""


class Variant(NamedTuple):
    """A table that a terminal may be wide enough for."""

    table: Table
    slack: int  # characters by which it may be narrowed
    hidden: int = 0  # columns that it lacks


@dataclass(frozen=True)
class Fitting:
    """The first table that the terminal is wide enough for, else the last one, and a line on the columns it lacks.

    Attributes:
        title: the line above it.
        variants: the tables, widest first.
        file: name of the file with all columns.
    """

    title: str
    variants: Sequence[Variant]
    file: str = "comparison.csv"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, "bold")
        width, unlimited = options.max_width, options.update(max_width=10_000)
        for variant in self.variants:
            if console.measure(variant.table, options=unlimited).maximum - variant.slack <= width:
                break
        yield variant.table
        if variant.hidden:
            yield Text(f"columns not shown in {width} characters: {variant.hidden}; {self.file} has all of them")


class _Row(NamedTuple):
    """A run, or a recipe."""

    settings: Settings
    name: str
    seeds: str
    figures: Sequence[Spread]


def ranked_table(ranking: Ranking, rows: int) -> Fitting:
    """The best `rows` ranked runs; if any recipe was repeated, the best recipes, with mean ± sd over seeds."""
    columns = used([column for column in COLUMNS if column.title not in _LEFT_OUT[ranking.by]], ranking.ranked)
    values = [column.value for column in columns]
    if ranking.has_repeats:
        keys, groups = recipe_keys(ranking), ranking.groups
        title = f"{_counted(len(groups), rows, 'recipe')} by mean {ranking.title}, ± sd over seeds"
        lines = [
            _Row(g.settings, g.name, g.seeds if keys else "", [g.spread(value) for value in values]) for g in groups
        ]
    else:
        keys = ranked_keys(ranking)
        title = f"{_counted(len(ranking.ranked), rows, 'run')} by {ranking.title}"
        lines = [_Row(r.settings, r.name, "", [Spread(value(r), None) for value in values]) for r in ranking.ranked]
    if len({words(line.settings, keys) for line in lines}) < len(lines):  # only their folders tell some apart
        keys = [*keys, "run"]
        lines = [line._replace(settings={**line.settings, "run": line.name}) for line in lines]
    return Fitting(title, tuple(_variants(lines, rows, keys, columns)))


def _variants(rows: Sequence[_Row], shown: int, keys: Sequence[str], columns: Sequence[Column]) -> Iterator[Variant]:
    """Tables with fewer and fewer figures; first with a column for each setting, then with one for all settings."""
    split = [[text(row.settings.get(key)) for key in keys] or [row.name] for row in rows[:shown]]
    joined = [[words(row.settings, keys) or row.name] for row in rows[:shown]]
    slack = max(0, max(len(cell) for (cell,) in joined) - _NARROWEST)
    best = [column.best([row.figures[i].mean for row in rows]) for i, column in enumerate(columns)]
    seeds = ["seeds"] if any(row.seeds for row in rows) else []
    headings = list(short_names(keys).values()) or [""]
    for names, settings, narrower in ((headings, split, 0), (["settings"], joined, slack)):
        for count in range(len(columns), 0, -1):
            leading = [TableColumn("", justify="right", no_wrap=True), *(_folded(name) for name in names)]
            table = _table(leading, seeds + [column.title for column in columns[:count]])
            for place, (row, chosen) in enumerate(zip(rows, settings, strict=False), 1):
                cells = map(_cell, columns[:count], row.figures, best)
                table.add_row(str(place), *map(Text, chosen), *([row.seeds] if seeds else []), *cells)
            yield Variant(table, narrower, len(columns) - count)


def _cell(column: Column, figure: Spread, best: float | None) -> Text:
    shown = column.spread(figure) if column.title in _WITH_SPREAD else column.text(figure.mean)
    return Text(shown, "bold" if best is not None and figure.mean == best else "")


def others_table(ranking: Ranking, rows: int) -> Fitting:
    """The status of up to `rows` runs that are not ranked."""
    shown = ranking.others[:rows]
    slack = max(0, max(len(state(run)) for run in shown) - _NARROWEST)
    variants = [Variant(_others_table(shown, width), slack) for width in (200, 100, 60, 40, 24)]
    return Fitting(f"{_counted(len(ranking.others), rows, 'run')} without a rank", variants)


def _others_table(runs: Sequence[Run], width: int) -> Table:
    columns = COLUMNS[:2] + tuple(used(COLUMNS[2:4], runs))
    titles = [column.title.removeprefix("best ") for column in columns]
    table = _table([TableColumn("run", no_wrap=True), _folded("status")], titles)
    for run in runs:
        figures = (column.text(column.value(run)) for column in columns)
        table.add_row(Text(_at_commas(run.name, width)), Text(state(run), "red" if is_lost(run) else ""), *figures)
    return table


def _table(leading: Iterable[TableColumn], figures: Iterable[str]) -> Table:
    numbers = (TableColumn(title.replace(" ", "\n", 1), justify="right", no_wrap=True) for title in figures)
    return Table(*leading, *numbers, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _folded(title: str) -> TableColumn:
    return TableColumn(title, overflow="fold")


def _at_commas(name: str, width: int) -> str:
    """Break a name after commas and slashes into lines of up to `width` characters; longer parts stay whole."""
    lines = [""]
    for part in re.findall(r"[^,/]*[,/]?", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def state(run: Run) -> str:
    """Status and reason."""
    return f"{run.status}: {run.reason}" if run.reason else run.status


def is_lost(run: Run) -> bool:
    """Whether the run ended without a result."""
    return run.status not in ("done", "running")


def write_csv(path: Path, ranking: Ranking) -> None:
    """Write one row for each run with all its settings and scores; the folder must exist."""
    lines = [_line(run, place if place <= len(ranking.ranked) else "") for place, run in enumerate(ranking.runs, 1)]
    columns = list(dict.fromkeys(key for line in lines for key in line))
    columns[5:5] = dict.fromkeys(key for run in ranking.runs for key in run.settings if key not in columns)
    content = io.StringIO()
    writer = csv.DictWriter(content, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**run.settings, **line} for run, line in zip(ranking.runs, lines, strict=True))
    with whole_file(path) as file:
        file.write(content.getvalue().encode("utf-8", "surrogateescape"))


def _line(run: Run, place: int | str) -> dict[str, Any]:
    test = {f"test/{key}": value for key, value in run.test.items() if isinstance(value, int | float | str)}
    if run.test.get(TRAINED_ON, 0) is None:
        test[f"test/{TRAINED_ON}"] = "unknown"
    parts = run.test.get("per_part")
    test |= {f"test/part/{part}": value for part, value in parts.items()} if isinstance(parts, dict) else {}
    return {
        "rank": place,
        "run": run.name,
        "path": str(run.path),
        "status": run.status,
        "reason": run.reason,
        "warnings": "; ".join(run.warnings),
        "recipe": run.recipe,
        "best/epoch": run.epoch,
        "best/val/loss": run.val_loss,
        "best/val/nme": run.val_nme,
        "mean_shape_nme": run.mean_shape_nme,
        "parameters": run.parameters,
        "train_images_per_s": run.images_per_s,
        "seconds": run.seconds,
        "started": run.started,
        **test,
    }


def _counted(total: int, rows: int, what: str) -> str:
    named = what if total == 1 else f"{what}s"
    return f"the best {rows:,} of {total:,} {named}" if total > rows else f"{total:,} {named}"
