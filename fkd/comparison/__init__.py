"""Runs and sweeps side by side: a ranked table, a CSV file, curves, and a page that opens in any browser.

Nothing here needs torch.
"""

from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from fkd.comparison.drawn import Drawn, draw
from fkd.comparison.places import folders, output_folder
from fkd.comparison.ranking import Ranking, rank
from fkd.comparison.runs import Run, read
from fkd.comparison.table import others_table, ranked_table, write_csv
from fkd.comparison.verdict import verdict

__all__ = [
    "Drawn",
    "Ranking",
    "Run",
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


def shown(ranking: Ranking, judgement: str, rows: int) -> list[RenderableType]:
    """What a terminal shows: the best runs, what became of the others, what to beware of, the paired test."""
    parts: list[RenderableType] = []
    if ranking.ranked:
        parts.append(ranked_table(ranking, rows))
    if ranking.others:
        parts.append(others_table(ranking, rows))
    return [*parts, *(Text(f"note: {note}") for note in ranking.notes), Text(judgement)]


def summary(folder: Path, rows: int = 20, resamples: int = 2000) -> list[RenderableType]:
    """The same for a sweep that has just ended. Never raises: an odd folder must not spoil the sweep's end."""
    try:
        ranking = rank(read([folder]), "auto")
        return shown(ranking, verdict(ranking, resamples), rows)
    except Exception as error:  # whatever it is, the sweep is done
        return [Text(f"{folder}: cannot be compared ({error})")]
