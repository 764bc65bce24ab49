"""Writes every table of README and documentation from the files in `results/`; run it in the clone.

python -m benchmarks.tables

Nothing is measured: each benchmark writes its file, and `benchmarks.tables.contents` says which table is made of which.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.script import run
from benchmarks.tables.contents import TABLES
from benchmarks.tables.pages import write
from fkd.terminal import show


def main(words: Sequence[str]) -> None:
    """Write the pages and show which tables are new."""
    argparse.ArgumentParser(
        "python -m benchmarks.tables", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(words)
    changed = write(TABLES, Path())
    show(*changed or [f"all {len(TABLES)} tables are those of results/"])


if __name__ == "__main__":
    run(main)
