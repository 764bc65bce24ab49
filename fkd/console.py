"""What scripts print."""

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
        console.print(part, soft_wrap=isinstance(part, str), highlight=False)
