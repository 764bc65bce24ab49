"""Images without an annotated face."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.io import images
from fkd.io.atomic import walk
from fkd.terminal import progress

_UNANNOTATED = Kind(
    "unannotated",
    "Images that are not used",
    "note",
    "Nothing reads them: nobody annotated them, their faces were left out, or no split names their file or folder. If"
    " you did not expect that, check whether rows were lost.",
)


def unannotated(faces: Faces, root: Path) -> Finding | None:
    """Images below a folder that no row names; None if the rows' names are not paths relative to it."""
    named = set(faces.table.paths.tolist())
    with progress("Looking for images", None) as advance:
        there = [name for name in _images(root) if advance() is None]
    known = sum(name in named for name in there)
    extra = sorted(name for name in there if name not in named)
    if not known or not extra:
        return None
    text = f"{len(extra):,} of {len(there):,} images below {root} show no face of this set, {extra[0]} among them."
    figures = {"annotated": float(known)}
    return _UNANNOTATED.finding(text, len(there), np.empty(0, np.int64), count=len(extra), figures=figures)


def _images(root: Path) -> Iterator[str]:
    """Paths of image files, relative to the folder, with / between their parts."""
    for folder, files in walk(root):
        below = folder.relative_to(root)
        yield from ((below / name).as_posix() for name in files if Path(name).suffix.lower() in images.SUFFIXES)
