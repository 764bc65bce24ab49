"""Reads the metrics.csv of a run."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from fkd.training.runs.reading import number, opened

Curve = Mapping[int, float]
"""Epoch (the first is 1) -> value."""
_BYTES, _VALUES = 128_000_000, 2_000_000
"""More than 100,000 epochs take."""
_LINE = 100_000
"""Characters; csv's own limit of a cell is one of the whole process, which others raise."""
_DIGITS = 10
"""Of an epoch, less than."""


def read(run_dir: Path) -> dict[str, dict[int, float]]:
    """Read the curve of each logged name; of an epoch that was logged twice, as after a resume, the later row counts.

    Rows that are cut off and values that are not finite are left out; without the file there are no curves.

    Raises:
        ValueError: the file is too large, is no CSV, or is none of the folder's own.
    """
    curves: dict[str, dict[int, float]] = {}
    count = 0
    try:
        with TextIOWrapper(opened(run_dir, "metrics.csv", _BYTES), "utf-8", "replace", newline="") as file:
            for row in csv.DictReader(_lines(file)):
                if None in row or None in row.values() or (epoch := _epoch(row.pop("epoch", ""))) is None:
                    continue
                if (count := count + len(row)) > _VALUES:
                    raise ValueError(f"expected at most {_VALUES:,} values, found more")
                for name, cell in row.items():
                    with suppress(ValueError):  # an empty cell: another row of the epoch has this name
                        if name != "step" and (value := number(float(cell))) is not None:
                            curves.setdefault(name, {})[epoch] = value
    except FileNotFoundError:
        pass
    except (OSError, csv.Error) as error:
        raise ValueError(str(error)) from error
    return curves


def _lines(file: Iterable[str]) -> Iterator[str]:
    for place, line in enumerate(file, 1):
        if len(line) > _LINE:
            raise ValueError(f"line {place}: expected at most {_LINE:,} characters, found {len(line):,}")
        yield line


def _epoch(cell: str) -> int | None:
    """The epoch of a row, from 1; None if it is no number."""
    return int(cell) + 1 if cell.isascii() and cell.isdigit() and len(cell) < _DIGITS else None


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
