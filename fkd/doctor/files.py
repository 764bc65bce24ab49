"""Pictures that nobody annotated."""

import os
from collections.abc import Iterator
from pathlib import Path

from fkd.data.faces import Faces
from fkd.doctor.finding import Finding
from fkd.progress import progress

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")


def unannotated(faces: Faces, root: Path) -> Finding | None:
    """Pictures below a folder that no row names; nothing where the rows' names are not paths below it."""
    named = set(faces.table.paths.tolist())
    with progress("Looking for pictures", None) as advance:
        there = [name for name in _pictures(root) if advance() is None]
    known = sum(name in named for name in there)
    extra = sorted(name for name in there if name not in named)
    if not known or not extra:
        return None
    return Finding(
        name="unannotated",
        title="Pictures without a label",
        severity="note",
        count=len(extra),
        total=len(there),
        text=f"{len(extra):,} of {len(there):,} pictures below {root} have no row, {extra[0]} among them.",
        advice="Nothing reads them; if that is news, look whether rows were lost.",
        figures={"annotated": float(known)},
    )


def _pictures(root: Path) -> Iterator[str]:
    """Paths of picture files, relative to the folder, with / between their parts."""
    for folder, _, files in os.walk(root):
        below = Path(folder).relative_to(root).as_posix()
        start = "" if below == "." else f"{below}/"
        yield from (start + name for name in files if name.lower().endswith(_SUFFIXES))
