"""Runs and sweeps side by side: a ranked table, a CSV file, curves, and a page that opens in any browser.

Nothing here needs torch.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from fkd.comparison import search
from fkd.comparison.columns import labels
from fkd.comparison.curves import Drawn, draw
from fkd.comparison.places import alone, folders, output_folder
from fkd.comparison.ranking import Ranking, rank
from fkd.comparison.run_reader import Run, read
from fkd.comparison.settings import read_yaml
from fkd.comparison.significance import verdict
from fkd.comparison.table import others_table, ranked_table, write_csv
from fkd.config import CONF

__all__ = [
    "Drawn",
    "Ranking",
    "Run",
    "alone",
    "compare",
    "draw",
    "folders",
    "output_folder",
    "rank",
    "read",
    "shown",
    "summary",
    "verdict",
    "write_csv",
]

_WARNED = 5
"""Runs whose warnings are shown."""


def compare(folders: Sequence[Path], by: str) -> Ranking:
    """All runs in and below the folders, in order.

    Raises:
        UserError: there is none, or `by` is none of `ranking.RANKS`.
    """
    ranking = rank(read(folders), by)
    return replace(ranking, notes=ranking.notes + search.notes(folders, ranking), warnings=_warnings(ranking))


def _warnings(ranking: Ranking) -> tuple[str, ...]:
    """A line for each warning of the first runs that have some."""
    warned = [(name, run.warnings) for name, run in zip(labels(ranking), ranking.runs, strict=True) if run.warnings]
    lines = [f"{name}: {line}" for name, lines in warned[:_WARNED] for line in lines]
    if (more := len(warned) - _WARNED) > 0:
        lines.append(f"runs with warnings that are not shown: {more}; see column warnings of comparison.csv")
    return tuple(lines)


def shown(ranking: Ranking, judgement: str | None, rows: int) -> list[RenderableType]:
    """What a terminal shows: the best runs, what became of the others, what to beware of, the paired test."""
    parts: list[RenderableType] = []
    if ranking.ranked:
        parts.append(ranked_table(ranking, rows))
    if ranking.others:
        parts.append(others_table(ranking, rows))
    parts += [Text(f"note: {note}") for note in ranking.notes]
    parts += [Text(f"warning: {line}") for line in ranking.warnings]
    return parts if judgement is None else [*parts, Text(judgement)]


def summary(folder: Path) -> list[RenderableType]:
    """What `scripts/compare.py` would show of a sweep that has just ended.

    Never raises: an odd folder must not spoil the sweep's end.
    """
    try:
        config = read_yaml(CONF / "compare.yaml")
        ranking = compare([folder], config["rank"])
        return shown(ranking, verdict(ranking, config["resamples"]), config["rows"])
    except Exception as error:  # whatever it is, the sweep is done
        return [Text(f"{folder}: cannot be compared ({error})")]
