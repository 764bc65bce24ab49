"""The data of the page, as plain values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.comparison.columns import COLUMNS, Column, differing_keys, labels, recipe_keys, used
from fkd.comparison.curves import Drawn
from fkd.comparison.overlays import Row
from fkd.comparison.ranking import Ranking
from fkd.comparison.settings import Settings, short_names, sort_value, text
from fkd.comparison.table import is_lost, state
from fkd.visualization import plots

_CORNERS = 400


def page_data(
    ranking: Ranking, judgement: str | None, drawn: Sequence[Drawn], chosen: int, overlays: Sequence[Row] | str
) -> dict[str, Any]:
    """All data that the page's script needs, ready for JSON.

    Args:
        judgement: the paired test in one sentence, if there are two recipes.
        drawn: runs with curves; those that are shown at first come first.
        chosen: number of runs that are shown at first.
        overlays: for each face the overlays of the chosen runs with test faces, in that order; or why there are none.
    """
    keys, columns = differing_keys(ranking), used(COLUMNS, ranking.runs)
    return {
        "score": ranking.title,
        "limit": plots.LIMIT,
        "colours": plots.COLOURS,
        "judgement": judgement,
        "notes": [*ranking.notes, *(f"warning: {line}" for line in ranking.warnings)],
        "counts": Counter(run.status for run in ranking.runs),
        "runs": {
            "columns": _headings(keys) + _titles(columns),
            "rows": [
                {
                    "place": place if place <= len(ranking.ranked) else None,
                    "label": name,
                    "name": run.name,
                    "state": state(run),
                    "lost": is_lost(run),
                    "cells": _cells(run.settings, keys)
                    + [{"value": column.value(run), "text": column.text(column.value(run))} for column in columns],
                }
                for place, (run, name) in enumerate(zip(ranking.runs, labels(ranking), strict=True), 1)
            ],
        },
        "groups": _groups(ranking, columns) if ranking.has_repeats else None,
        "curves": [_curves(one) for one in drawn],
        "costs": [
            {"parameters": run.parameters, "images_per_s": run.images_per_s, "nme": ranking.score(run)}
            for run in ranking.ranked
        ],
        "overlays": overlays if isinstance(overlays, str) else [asdict(row) for row in overlays],
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
    """The table of recipes."""
    keys, rows = recipe_keys(ranking), []
    for place, group in enumerate(ranking.groups, 1):
        cells = [*_cells(group.settings, keys), {"value": len(group.runs), "text": group.seeds}]
        for column in columns:
            spread = group.spread(column.value)
            cells.append({"value": spread.mean, "text": column.spread(spread)})
        rows.append({"place": place, "cells": cells})
    return {"columns": [*_headings(keys), {"title": "seeds", "better": 0}, *_titles(columns)], "rows": rows}


def _headings(keys: Sequence[str]) -> list[dict[str, Any]]:
    names = short_names(keys).items()
    return [{"title": short, "tip": key, "setting": True, "better": 0} for key, short in names]


def _titles(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [{"title": column.title, "better": column.better} for column in columns]


def _cells(settings: Settings, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Each setting as the value by which the table is sorted and the text that it shows."""
    return [{"value": sort_value(settings.get(key)), "text": text(settings.get(key))} for key in keys]
