"""What the page shows, as plain data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.comparison.columns import COLUMNS, Column, differing_keys, labels, recipe_keys, used
from fkd.comparison.curves import Drawn
from fkd.comparison.overlays import Row
from fkd.comparison.ranking import Group, Ranking
from fkd.comparison.run_reader import Run
from fkd.comparison.settings import Settings, short_names, text
from fkd.comparison.table import is_lost, state
from fkd.visualization import plots

_CORNERS = 400


def page_data(
    ranking: Ranking, judgement: str | None, drawn: Sequence[Drawn], chosen: int, overlays: Sequence[Row] | str
) -> dict[str, Any]:
    """All that the page's script needs, ready for JSON.

    Args:
        judgement: the paired test's sentence, if there are two to be tested.
        drawn: runs with curves, those to be shown at first in front.
        chosen: how many these are.
        overlays: for each face those of the chosen runs that have test faces, in that order; or why there are none.
    """
    keys, columns = differing_keys(ranking), used(COLUMNS, ranking.runs)
    return {
        "score": ranking.title,
        "limit": plots.LIMIT,
        "colours": plots.COLOURS,
        "judgement": judgement,
        "notes": [*ranking.notes, *(f"warning: {line}" for line in ranking.warnings)],
        "counts": _counts(ranking),
        "runs": {
            "columns": [_setting(key, short) for key, short in short_names(keys).items()] + _columns(columns),
            "rows": [
                {
                    "place": place if place <= len(ranking.ranked) else None,
                    "label": name,
                    "name": run.name,
                    "state": state(run),
                    "lost": is_lost(run),
                    "cells": [*_chosen(run.settings, keys), *_figures(columns, run)],
                }
                for place, (run, name) in enumerate(zip(ranking.runs, labels(ranking), strict=True), 1)
            ],
        },
        "groups": _groups(ranking, columns) if ranking.has_repeats else None,
        "curves": [_curves(one) for one in drawn],
        "costs": [_cost(ranking, run) for run in ranking.ranked],
        "overlays": overlays if isinstance(overlays, str) else [_overlay_row(row) for row in overlays],
        "chosen": [one.place for one in drawn[:chosen]],
        "overlaid": [one.place for one in drawn[:chosen] if one.faces is not None],
    }


def error_steps(errors: npt.NDArray[np.floating]) -> dict[str, Any]:
    """A cumulative error curve, thinned to `_CORNERS` corners: percent -> percent of the faces; its area, 0 to 1."""
    x, y = plots.steps(errors)
    kept = np.unique(np.linspace(0, len(x) - 1, _CORNERS).round().astype(int))
    return {"x": x[kept].round(5).tolist(), "y": y[kept].round(3).tolist(), "auc": round(plots.area(errors), 4)}


def _curves(one: Drawn) -> dict[str, Any]:
    return {
        "run": one.place,
        "ced": None if one.faces is None else error_steps(one.faces.curve),
        "training": {
            name: {"x": sorted(curve), "y": [round(curve[epoch], 6) for epoch in sorted(curve)]}
            for name in ("train/loss", "val/loss", "val/nme")
            if (curve := one.logged.get(name))
        },
        "test_parts": one.test_parts,
        "val_parts": one.val_parts,
    }


def _groups(ranking: Ranking, columns: Sequence[Column]) -> dict[str, Any]:
    keys = recipe_keys(ranking)
    headings = [_setting(key, short) for key, short in short_names(keys).items()]
    return {
        "columns": [*headings, {"title": "seeds", "better": 0}, *_columns(columns)],
        "rows": [_group_row(place, group, keys, columns) for place, group in enumerate(ranking.groups, 1)],
    }


def _group_row(place: int, group: Group, keys: Sequence[str], columns: Sequence[Column]) -> dict[str, Any]:
    spreads = [group.spread(column.value) for column in columns]
    figures = [
        {"value": spread.mean, "text": column.spread(spread)} for column, spread in zip(columns, spreads, strict=True)
    ]
    seeds = {"value": len(group.runs), "text": group.seeds}
    cells = [*_chosen(group.settings, keys), seeds, *figures]
    return {"place": place, "cells": cells}


def _columns(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [{"title": column.title, "better": column.better} for column in columns]


def _setting(key: str, short: str) -> dict[str, Any]:
    return {"title": short, "tip": key, "setting": True, "better": 0}


def _figures(columns: Sequence[Column], run: Run) -> list[dict[str, Any]]:
    return [{"value": value, "text": column.text(value)} for column in columns for value in [column.value(run)]]


def _chosen(settings: Settings, keys: Sequence[str]) -> list[Any]:
    """What sorts a cell, numbers as numbers, and what it shows."""
    cells = []
    for key in keys:
        value = settings.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        cells.append({"value": value if number else text(value), "text": text(value)})
    return cells


def _cost(ranking: Ranking, run: Run) -> dict[str, Any]:
    return {"parameters": run.parameters, "images_per_s": run.images_per_s, "nme": ranking.score(run)}


def _overlay_row(row: Row) -> dict[str, Any]:
    cells = [{"image": cell.image, "caption": cell.caption} for cell in row.cells]
    return {"name": row.name, "cells": cells}


def _counts(ranking: Ranking) -> dict[str, int]:
    counts: dict[str, int] = {}
    for run in ranking.runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    return counts
