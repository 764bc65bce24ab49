"""The comparison in a terminal, and as a CSV file."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from fkd.comparison.columns import COLUMNS, Column, ranked_keys, recipe_keys, used, words
from fkd.comparison.ranking import Ranking, Spread
from fkd.comparison.run_reader import TRAINED_ON, Run
from fkd.comparison.settings import Settings, short_names, text
from fkd.io.atomic import whole_file

_LEFT_OUT = {"test": ("best epoch", "val NME (%)", "time"), "val": ("best epoch", "time")}
"""Columns that a terminal has no room for; the page has them."""
_WITH_SPREAD = ("val NME (%)", "test NME (%)", "test NME, all (%)")
"""Columns that show the deviation in a terminal; in the page all do."""
_NARROWEST = 32
"""Characters that a column of several lines must have."""


@dataclass(frozen=True)
class Fitting:
    """The first of some tables, the fullest first, that the terminal is wide enough for; else the last.

    Attributes:
        title: the line above it.
        tables: each with the number of characters that it may be narrowed by.
    """

    title: str
    tables: Sequence[tuple[Table, int]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, "bold")
        for table, slack in self.tables:
            if console.measure(table, options=options.update(max_width=10_000)).maximum - slack <= options.max_width:
                break
        yield table


@dataclass(frozen=True)
class _Row:
    """A run, or a recipe."""

    settings: Settings
    name: str
    seeds: str
    figures: Sequence[Spread]


def ranked_table(ranking: Ranking, rows: int) -> Fitting:
    """The best `rows` of the ranked runs; of their recipes, with mean ± sd over seeds, if any was repeated."""
    columns = used([column for column in COLUMNS if column.title not in _LEFT_OUT[ranking.by]], ranking.ranked)
    values = [column.value for column in columns]
    if ranking.has_repeats:
        keys = recipe_keys(ranking)
        title = f"{_ranked(len(ranking.groups), rows, 'recipe')} by mean {ranking.title}, ± sd over seeds"
        groups = ranking.groups
        lines = [
            _Row(g.settings, g.name, g.seeds if keys else "", [g.spread(value) for value in values]) for g in groups
        ]
    else:
        keys = ranked_keys(ranking)
        title = f"{_ranked(len(ranking.ranked), rows, 'run')} by {ranking.title}"
        lines = [_Row(r.settings, r.name, "", [Spread(value(r), None) for value in values]) for r in ranking.ranked]
    return Fitting(title, tuple(_narrower_and_narrower(lines, rows, keys, columns)))


def _narrower_and_narrower(
    rows: Sequence[_Row], shown: int, keys: Sequence[str], columns: Sequence[Column]
) -> Iterator[tuple[Table, int]]:
    """First without the last figures, then with all settings in one column of several lines."""
    split = [[text(row.settings.get(key)) for key in keys] or [row.name] for row in rows[:shown]]
    joined = [[words(row.settings, keys) or row.name] for row in rows[:shown]]
    slack = max(0, max(len(cell) for (cell,) in joined) - _NARROWEST)
    best = [column.best([row.figures[i].mean for row in rows]) for i, column in enumerate(columns)]
    headings = list(short_names(keys).values()) or [""]
    for names, settings, narrower in ((headings, split, 0), (["settings"], joined, slack)):
        for count in range(len(columns), 0, -1):
            table = _table(names, [column.title for column in columns[:count]], any(row.seeds for row in rows))
            for place, (row, chosen) in enumerate(zip(rows, settings, strict=False), 1):
                figures = zip(columns[:count], row.figures, best, strict=False)
                seeds = [row.seeds] if row.seeds else []
                table.add_row(str(place), *map(Text, chosen), *seeds, *(_cell(*figure) for figure in figures))
            yield table, narrower


def _table(settings: Sequence[str], figures: Sequence[str], seeds: bool) -> Table:
    table = _empty()
    table.add_column("", justify="right", no_wrap=True)
    for name in settings:
        table.add_column(name, overflow="fold")
    for title in (["seeds"] if seeds else []) + list(figures):
        table.add_column(title.replace(" ", "\n", 1), justify="right", no_wrap=True)
    return table


def _cell(column: Column, figure: Spread, best: float | None) -> Text:
    shown = column.spread(figure) if column.title in _WITH_SPREAD else column.text(figure.mean)
    return Text(shown, "bold" if best is not None and figure.mean == best else "")


def others_table(ranking: Ranking, rows: int) -> Fitting:
    """What became of up to `rows` of the runs that are not ranked."""
    shown = ranking.others[:rows]
    slack = max(0, max(len(state(run)) for run in shown) - _NARROWEST)
    return Fitting(
        f"{_ranked(len(ranking.others), rows, 'run')} without a rank",
        [(_others_table(shown, width), slack) for width in (200, 100, 60, 40, 24)],
    )


def _others_table(runs: Sequence[Run], width: int) -> Table:
    table = _empty()
    table.add_column("run", no_wrap=True)
    table.add_column("status", overflow="fold")
    columns = COLUMNS[:2] + tuple(used(COLUMNS[2:4], runs))
    for column in columns:
        table.add_column(column.title.removeprefix("best ").replace(" ", "\n", 1), justify="right", no_wrap=True)
    for run in runs:
        figures = (column.text(column.value(run)) for column in columns)
        table.add_row(Text(_at_commas(run.name, width)), Text(state(run), "red" if is_lost(run) else ""), *figures)
    return table


def _at_commas(name: str, width: int) -> str:
    """In lines of up to `width` characters, if its parts are as short."""
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
    """Whether the run came to no good end."""
    return run.status not in ("done", "running")


def write_csv(path: Path, ranking: Ranking) -> None:
    """One row for each run with all its settings and scores; the folder must exist."""
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


def _empty() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _ranked(total: int, rows: int, what: str) -> str:
    named = what if total == 1 else f"{what}s"
    return f"the best {rows:,} of {total:,} {named}" if total > rows else f"{total:,} {named}"
