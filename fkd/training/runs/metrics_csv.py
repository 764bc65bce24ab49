"""What a training logged, read back from its metrics.csv."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

Curve = Mapping[int, float]
"""Epoch (the first is 1) -> value."""


def read(run_dir: Path) -> dict[str, dict[int, float]]:
    """Logged name -> its curve. Of an epoch logged twice, as after a resume, the later row counts.

    Empty if there is no such file; what is cut off, no number or not finite is left out.
    """
    curves: dict[str, dict[int, float]] = {}
    try:
        with (run_dir / "metrics.csv").open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if "epoch" not in header:
                return {}
            place = header.index("epoch")
            for row in rows:
                if len(row) != len(header) or not row[place].isdigit():
                    continue
                epoch = int(row[place]) + 1
                for name, cell in zip(header, row, strict=True):
                    if cell and name not in ("epoch", "step") and (value := _number(cell)) is not None:
                        curves.setdefault(name, {})[epoch] = value
    except (OSError, csv.Error):
        pass  # what was read until then is what there is
    return curves


def best_epoch(curves: Mapping[str, Curve]) -> dict[str, float]:
    """The values validated in the epoch of the lowest val/loss, and that epoch; empty if none was."""
    losses = curves.get("val/loss")
    if not losses:
        return {}
    epoch = min(losses, key=lambda e: losses[e])
    values = {name: curve[epoch] for name, curve in curves.items() if name.startswith("val/") and epoch in curve}
    return {"epoch": epoch, **values}


def last_epoch(curves: Mapping[str, Curve]) -> int:
    """The last epoch that logged anything, 0 if none."""
    return max((max(curve) for curve in curves.values()), default=0)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
