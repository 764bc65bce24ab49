"""Runs, sweeps and evaluations side by side: a ranked table, a CSV file, curves, and an HTML page.

Nothing here needs torch.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from fkd.comparison.columns import labels
from fkd.comparison.curves import Drawn, draw
from fkd.comparison.places import alone, folders, output_folder
from fkd.comparison.ranking import Ranking, rank
from fkd.comparison.run_reader import Run, read
from fkd.comparison.significance import verdict
from fkd.comparison.table import others_table, ranked_table, write_csv
from fkd.config import CONF
from fkd.training.runs.reading import read_yaml

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
    "with_damage",
    "write_csv",
]

_WARNINGS, _NAMED = 5, 3
"""Warnings that are shown, and runs that each names."""
_FIGURE = re.compile(r"\d+(\.\d+)?(e[+-]\d+)?")


def compare(folders: Sequence[Path], by: str) -> Ranking:
    """Rank all runs in and below the folders.

    Raises:
        UserError: there is none, or `by` is none of `ranking.RANKS`.
    """
    ranking = rank(read(folders), by)
    notes = [note for folder in folders if (note := _search_note(folder, ranking))]
    return replace(ranking, notes=(*ranking.notes, *notes), warnings=_warnings(ranking))


def _search_note(folder: Path, ranking: Ranking) -> str | None:
    """A note if the folder is a hyperparameter search that minimised another metric and found another best run."""
    by = f"{ranking.by}/nme"
    match read_yaml(folder, "multirun.yaml"):
        case {"hydra": {"sweeper": {"n_trials": _}}, "optimized_metric": metric} if metric != by:
            runs = [run for run in ranking.runs if folder in run.path.parents]
            values = [(run.objective, run.name) for run in runs if run.objective is not None]
            if values and (best := min(values))[1] not in [run.name for run in ranking.ranked[:1]]:
                return f"the sweep sought the lowest {metric}: {best[0]:.5g} in {best[1]}; this table ranks by {by}"
    return None


def _warnings(ranking: Ranking) -> tuple[str, ...]:
    """A line for each warning with the runs that have it; warnings that differ in their figures are one."""
    same: dict[str, list[tuple[str, str]]] = {}
    for name, run in zip(labels(ranking), ranking.runs, strict=True):
        for line in run.warnings:
            same.setdefault(_FIGURE.sub("#", line), []).append((name, line))
    lines = [_named(warned) for warned in [*same.values()][:_WARNINGS]]
    if (more := len(same) - _WARNINGS) > 0:
        lines.append(f"warnings that are not shown: {more}; see column warnings of comparison.csv")
    return tuple(lines)


def _named(warned: Sequence[tuple[str, str]]) -> str:
    """A warning, given the name of each run that has it and its words there."""
    names, words = zip(*warned, strict=True)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    whose = " (figures of the first)" if len({*words}) > 1 else ""
    return f"{'; '.join(names[:_NAMED])}{more}: {words[0]}{whose}"


def with_damage(ranking: Ranking, drawn: Sequence[Drawn]) -> Ranking:
    """The ranking with a warning for each file of the drawn runs that cannot be read."""
    return replace(ranking, warnings=(*ranking.warnings, *(line for one in drawn for line in one.damage)))


def shown(ranking: Ranking, judgement: str | None, rows: int) -> list[RenderableType]:
    """The terminal's output: the best runs, the runs without a rank, notes, warnings, and the paired test."""
    parts: list[RenderableType] = []
    if ranking.ranked:
        parts.append(ranked_table(ranking, rows))
    if ranking.others:
        parts.append(others_table(ranking, rows))
    lines = [f"note: {note}" for note in ranking.notes] + [f"warning: {line}" for line in ranking.warnings]
    return [*parts, *(Text(line) for line in (*lines, *filter(None, [judgement])))]


def summary(folder: Path) -> list[RenderableType]:
    """The output of `fkd compare` for a sweep that has just ended.

    Never raises: a folder that cannot be compared must not make the sweep fail.
    """
    try:
        config = read_yaml(CONF, "compare.yaml")
        ranking = compare([folder], config["rank"])
        return shown(ranking, verdict(ranking, config["resamples"]), config["rows"])
    except Exception as error:  # whatever it is, the sweep is done
        return [Text(f"{folder}: cannot be compared ({error})")]
