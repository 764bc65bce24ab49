"""Sphinx extension: writes the parts of pages that are made of the project's files.

A line ``<!-- made of: NAME -->`` in a page is replaced by the part of that name.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs.extension import checks, commands, configs

PROJECT = Path(__file__).parents[2]
PARTS: dict[str, Callable[[], str]] = {
    "configs": lambda: configs.markdown(PROJECT / "conf"),
    "commands": lambda: commands.markdown(PROJECT / "conf", PROJECT / "fkd/commands"),
    "checks": lambda: checks.markdown(PROJECT / "fkd/dataset_report/checks"),
}


def filled(text: str) -> str:
    """A page with its parts. KeyError if there is none of a name."""
    return re.sub(r"^<!-- made of: (\w+) -->$", lambda match: PARTS[match[1]](), text, flags=re.M)


def _fill(app: Any, name: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}
