"""The results as a table in Markdown."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.detectors.measuring import SIZES
from benchmarks.detectors.pictures import ANGLES
from benchmarks.tables import markdown
from benchmarks.tables.markdown import NONE

_Row = Mapping[str, Any]


def table(results: Mapping[str, Any]) -> str:
    """A row for each detector, a column for each set of pictures and for times."""
    rows = results["detectors"].values()
    counted: _Row = next(row["sets"] for row in rows if row["sets"])
    sizes = {name: f"{(tally['faces'] or tally['pictures']):,}" for name, tally in counted.items()}
    turned = ", ".join(f"{angle}°" for angle in ANGLES)
    columns: dict[str, Callable[[_Row], str]] = {
        "detector": lambda row: row["title"],
        f"Udacity's test, {sizes['udacity']} faces: missed; false boxes": _udacity,
        f"300-W common, {sizes['300w']} faces: missed": lambda row: _count(row, "300w"),
        f"crowds, {sizes['scenes']} faces: found; false boxes a photo": _scenes,
        f"no face, {sizes['empty']} pictures: with a false box": lambda row: _share(row, "empty", "with_false"),
        f"turned by {turned}, {sizes['cut']} faces each: found": _turned,
        f"cut by the edge, {sizes['cut']} faces: found": lambda row: _share(row, "cut", "found"),
        f"ms at {', '.join(SIZES)} px, one core": lambda row: _ms(row, "ms"),
        "ms to keypoints": lambda row: _ms(row, "ms_to_keypoints"),
    }
    return markdown.table([*columns], [[cell(row) for cell in columns.values()] for row in rows])


def _udacity(row: _Row) -> str:
    return f"{_count(row, 'udacity')}; {row['sets']['udacity']['false']}" if row["sets"] else NONE


def _scenes(row: _Row) -> str:
    if not row["sets"]:
        return NONE
    tally = row["sets"]["scenes"]
    return f"{_share(row, 'scenes', 'found')}; {tally['false'] / tally['pictures']:.2f}"


def _turned(row: _Row) -> str:
    return ", ".join(_share(row, f"turned_{angle}", "found") for angle in ANGLES) if row["sets"] else NONE


def _count(row: _Row, name: str) -> str:
    return str(row["sets"][name]["faces"] - row["sets"][name]["found"]) if row["sets"] else NONE


def _share(row: _Row, name: str, key: str) -> str:
    if not row["sets"]:
        return NONE
    tally = row["sets"][name]
    return f"{100 * tally[key] / (tally['faces'] or tally['pictures']):.1f} %"


def _ms(row: _Row, key: str) -> str:
    """Times; with the share of images on which the face was found, where it was not found on all."""
    times = [row[key][size] for size in SIZES] if row[key] else []
    return ", ".join(f"{ms:.1f}" + f" ({seen:.0%} found)" * (seen < 1) for ms, seen in times) or NONE
