"""The comparison in a terminal, and as a CSV file."""

import csv
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from fkd.comparison.columns import COLUMNS, Column, differing_keys, used
from fkd.comparison.ranking import Ranking, Spread
from fkd.comparison.runs import Run
from fkd.comparison.settings import Settings, short_names, text
from fkd.files import whole_file

_LEFT_OUT = {"test": ("best epoch", "val NME (%)", "time (min)"), "val": ("best epoch", "time (min)")}
"""Columns that a terminal has no room for; the page has them."""
_WITH_SPREAD = ("val NME (%)", "test NME (%)")
"""Columns that show the deviation in a terminal; in the page all do."""
_SCORES = {"test": "test NME (inter-ocular, %)", "val": "val/nme of the best epoch (inter-ocular, %)"}


def ranked_table(ranking: Ranking, rows: int) -> Table:
    """The best `rows` of the ranked runs; of their recipes, with mean ± sd over seeds, if any was repeated."""
    if ranking.has_repeats:
        return _groups_table(ranking, rows)
    keys, columns = differing_keys(ranking), _columns(ranking)
    table = _table(f"{_ranked(len(ranking.ranked), rows, 'run')} by {_SCORES[ranking.by]}", keys, columns, "run")
    best = {column.title: column.best([column.value(run) for run in ranking.ranked]) for column in columns}
    for place, run in enumerate(islice(ranking.ranked, rows), 1):
        figures = [(column.value(run), column.text(column.value(run))) for column in columns]
        cells = [_cell(shown, value, best[c.title]) for (value, shown), c in zip(figures, columns, strict=True)]
        table.add_row(str(place), *_chosen(run.settings, keys, run.name), *cells)
    return table


def _groups_table(ranking: Ranking, rows: int) -> Table:
    keys, columns = [key for key in differing_keys(ranking) if key != "seed"], _columns(ranking)
    title = f"{_ranked(len(ranking.groups), rows, 'recipe')} by mean {_SCORES[ranking.by]}, ± sd over seeds"
    table = _table(title, keys, columns, "recipe", "seeds")
    spreads = [[group.spread(column.value) for column in columns] for group in ranking.groups]
    best = [column.best([row[i].mean for row in spreads]) for i, column in enumerate(columns)]
    for place, (group, row) in enumerate(islice(zip(ranking.groups, spreads, strict=True), rows), 1):
        cells = [_cell(_spread(c, s), s.mean, b) for c, s, b in zip(columns, row, best, strict=True)]
        table.add_row(str(place), *_chosen(group.settings, keys, group.runs[0].name), group.seeds, *cells)
    return table


def others_table(ranking: Ranking, rows: int) -> Table:
    """What became of up to `rows` of the runs that are not ranked."""
    title = f"{_ranked(len(ranking.others), rows, 'run')} without a rank"
    table = _empty(title)
    table.add_column("run", overflow="fold")
    for heading, justify in (("status", "left"), ("epoch", "right"), ("val NME (%)", "right")):
        table.add_column(heading, justify=justify, no_wrap=heading != "status")  # type: ignore[arg-type]
    for run in islice(ranking.others, rows):
        epoch, nme = (column.text(column.value(run)) for column in COLUMNS[:2])
        table.add_row(Text(run.name), Text(state(run), "red" if is_lost(run) else ""), epoch, nme)
    return table


def state(run: Run) -> str:
    """Status and reason."""
    return f"{run.status}: {run.reason}" if run.reason else run.status


def is_lost(run: Run) -> bool:
    """Whether the run came to no good end."""
    return run.status not in ("done", "running")


def write_csv(path: Path, ranking: Ranking) -> None:
    """One row for each run with all its settings and scores; the folder must exist."""
    keys = list(dict.fromkeys(key for run in ranking.runs for key in run.settings))
    lines = [_line(run, place if place <= len(ranking.ranked) else "") for place, run in enumerate(ranking.runs, 1)]
    columns = list(dict.fromkeys(key for line in lines for key in line))
    columns[5:5] = keys
    content = io.StringIO()
    writer = csv.DictWriter(content, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**run.settings, **line} for run, line in zip(ranking.runs, lines, strict=True))
    with whole_file(path) as file:
        file.write(content.getvalue().encode("utf-8", "surrogateescape"))


def _line(run: Run, place: int | str) -> dict[str, Any]:
    test = {f"test/{key}": value for key, value in run.test.items() if isinstance(value, int | float | str)}
    parts = run.test.get("per_part")
    test |= {f"test/part/{part}": value for part, value in parts.items()} if isinstance(parts, dict) else {}
    return {
        "rank": place,
        "run": run.name,
        "path": str(run.path),
        "status": run.status,
        "reason": run.reason,
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


def _columns(ranking: Ranking) -> list[Column]:
    return used([column for column in COLUMNS if column.title not in _LEFT_OUT[ranking.by]], ranking.ranked)


def _spread(column: Column, figure: Spread) -> str:
    return column.spread(figure) if column.title in _WITH_SPREAD else column.text(figure.mean)


def _table(title: str, keys: Sequence[str], columns: Sequence[Column], name: str, *more: str) -> Table:
    table = _empty(title)
    table.add_column("", justify="right", no_wrap=True)
    for heading in list(short_names(keys).values()) or [name]:
        table.add_column(heading, overflow="fold", min_width=4)
    for heading in [*more, *(column.title for column in columns)]:
        table.add_column(heading.replace(" ", "\n", 1), justify="right", no_wrap=True)
    return table


def _empty(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _chosen(settings: Settings, keys: Sequence[str], name: str) -> list[Text]:
    return [Text(text(settings.get(key))) for key in keys] or [Text(name)]


def _cell(shown: str, value: float | None, best: float | None) -> Text:
    return Text(shown, "bold" if value is not None and value == best else "")


def _ranked(total: int, rows: int, what: str) -> str:
    named = what if total == 1 else f"{what}s"
    return f"the best {rows:,} of {total:,} {named}" if total > rows else f"{total:,} {named}"
