"""What scripts print."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console


def facts(rows: Mapping[str, str]) -> str:
    """Labelled lines; a table would cut long paths."""
    width = max(len(label) for label in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())


def show(*parts: Any) -> None:
    """Prints tables and lines; long paths are not broken."""
    console = Console()
    for part in parts:
        text = isinstance(part, str)
        console.print(part, soft_wrap=text, markup=not text, highlight=False)


def say(line: str) -> None:
    """What went wrong, in one line on standard error."""
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
