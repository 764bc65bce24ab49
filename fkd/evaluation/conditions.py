"""Scores by the size of a face and by its head pose."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from fkd.evaluation.evaluate import Scores
from fkd.head_pose import head_pose
from fkd.schema import IBUG68
from fkd.types import Annotations

_Values = dict[str, float | None]
_EDGES = {"eye distance, px": (30, 60), "yaw, degrees": (15, 30), "pitch, degrees": (10, 20), "roll, degrees": (10, 20)}
"""Condition -> limits between its ranges; angles are absolute values."""


def breakdown(scores: Scores, table: Annotations) -> dict[str, dict[str, _Values]]:
    """Condition -> range -> faces, NME (percent of the inter-ocular distance) and share of failures (percent).

    Conditions are measured on the labels. Missed faces count as failures and not in the NME, which is None if all were
    missed. Ranges without faces are left out. Other schemas than the 68 points, and faces with hidden points, have
    sizes only.
    """
    values = {"eye distance, px": table.schema.interocular(table.keypoints)}
    whole = table.visible.all(axis=1)
    if table.schema == IBUG68 and whole.any():
        pose = np.full((len(table), 3), np.nan)
        pose[whole] = np.abs(head_pose(table.keypoints[whole]))
        values |= dict(zip(("yaw, degrees", "pitch, degrees", "roll, degrees"), pose.T, strict=True))
    return {name: dict(_ranges(scores, value, _EDGES[name])) for name, value in values.items()}


def _ranges(scores: Scores, value: npt.NDArray[np.floating], edges: tuple[int, int]) -> list[tuple[str, _Values]]:
    low, high = edges
    names = (f"below {low}", f"{low} to {high}", f"above {high}")
    place, found = np.digitize(value, edges), []
    for number, name in enumerate(names):
        rows = (place == number) & ~np.isnan(value)
        if rows.any():
            errors, seen = scores.curve[rows], scores.found[rows]
            nme = float(errors[seen].mean()) if seen.any() else None
            failures = 100 * float((errors > 10).mean())
            found.append((name, {"faces": int(rows.sum()), "nme": nme, "failure_rate_10": failures}))
    return found


def breakdown_table(content: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """The result of `breakdown`, a row for each range."""
    table = Table("condition", "range", "faces", "NME inter-ocular (%)", "failures over 10 % (%)")
    for condition, ranges in content.items():
        for name, values in ranges.items():
            nme = "-" if values["nme"] is None else f"{values['nme']:.2f}"
            table.add_row(condition, name, f"{values['faces']:,}", nme, f"{values['failure_rate_10']:.1f}")
    return table
