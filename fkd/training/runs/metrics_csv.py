"""Reads the metrics.csv of a run."""

import csv
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

Curve = Mapping[int, float]
"""Epoch (the first is 1) -> value."""


def read(run_dir: Path) -> dict[str, dict[int, float]]:
    """Read the curve of each logged name; of an epoch that was logged twice, as after a resume, the later row counts.

    Rows that are cut off and values that are not finite are left out; without the file there are no curves.
    """
    curves: dict[str, dict[int, float]] = {}
    path = run_dir / "metrics.csv"
    with suppress(OSError, csv.Error), path.open(errors="replace", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if None in row or None in row.values() or not row.get("epoch", "").isdigit():
                continue
            epoch = int(row.pop("epoch")) + 1
            for name, cell in row.items():
                with suppress(ValueError):  # an empty cell: another row of the epoch has this name
                    if name != "step" and math.isfinite(value := float(cell)):
                        curves.setdefault(name, {})[epoch] = value
    return curves


def best_epoch(curves: Mapping[str, Curve]) -> dict[str, float]:
    """The validation values of the epoch with the lowest val/loss, and the epoch; empty without a val/loss."""
    losses = curves.get("val/loss")
    if not losses:
        return {}
    epoch = min(losses, key=lambda e: losses[e])
    values = {name: curve[epoch] for name, curve in curves.items() if name.startswith("val/") and epoch in curve}
    return {"epoch": epoch, **values}


def last_epoch(curves: Mapping[str, Curve]) -> int:
    """The last logged epoch, 0 without any."""
    return max((max(curve) for curve in curves.values()), default=0)
