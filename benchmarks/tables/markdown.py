"""Tables in Markdown, and the words for when and where their figures were measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

NONE = "–"
"""A figure that there is not."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of a table; an empty heading or cell stays empty."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  ", "| ") for cells in lines)


def listed(results: Mapping[str, Any]) -> str:
    """The table of a file of listed figures.

    Args:
        results: `columns`: heading -> format of its floats, e.g. "{:.2f} %"; `rows`: a list of cells each. A cell is a
            number, {"mean", "sd"} over seeds, several of these, words, or null. Whole numbers are counts.
    """
    formats = [*results["columns"].values()]
    rows = [[_cell(v, form) for v, form in zip(row, formats, strict=True)] for row in results["rows"]]
    return table([*results["columns"]], rows)


def _cell(value: Any, form: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        return "; ".join(_cell(each, form) for each in value)
    if isinstance(value, dict):
        return f"{form.format(value['mean'])} ± {value['sd']:.2f}"
    return f"{value:,}" if isinstance(value, int) else form.format(value)


def spread(values: Sequence[float], digits: int, unit: str = "") -> str:
    """Mean and, of several values, their standard deviation."""
    if not values:
        return NONE
    return f"{mean(values):.{digits}f}{unit}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def measured(contents: Any) -> str:
    """When and where figures were measured, from each `date`, `machine` and `environment` in the files' contents."""
    found = [*_found(contents)]
    dates = sorted({str(value)[:10] for key, value in found if key == "date"})
    machines = sorted({value if key == "machine" else value["processor"] for key, value in found if key != "date"})
    if not dates or not machines:
        raise ValueError("no date, or no machine")
    return f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}; {'; '.join(machines)}"


def _found(content: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(content, list):
        for each in content:
            yield from _found(each)
    elif isinstance(content, dict):
        for key, value in content.items():
            if key in ("date", "machine", "environment") and value is not None:
                yield key, value
            else:
                yield from _found(value)
