"""Images that show no face of the set."""

from collections.abc import Iterator
from pathlib import Path

from fkd.data.face_data import Faces
from fkd.dataset_report.checks.finding import Finding
from fkd.io import images
from fkd.io.atomic import walk
from fkd.terminal import progress


def unannotated(faces: Faces, root: Path) -> Finding | None:
    """Images below a folder that no row names; nothing where the rows' names are not paths below it."""
    named = set(faces.table.paths.tolist())
    with progress("Looking for images", None) as advance:
        there = [name for name in _images(root) if advance() is None]
    known = sum(name in named for name in there)
    extra = sorted(name for name in there if name not in named)
    if not known or not extra:
        return None
    return Finding(
        name="unannotated",
        title="Images that are not used",
        severity="note",
        count=len(extra),
        total=len(there),
        text=f"{len(extra):,} of {len(there):,} images below {root} show no face of this set, {extra[0]} among them.",
        advice=(
            "Nothing reads them: nobody annotated them, their faces were left out, or no split names their file or"
            " folder. If that is news, look whether rows were lost."
        ),
        figures={"annotated": float(known)},
    )


def _images(root: Path) -> Iterator[str]:
    """Paths of image files, relative to the folder, with / between their parts."""
    for folder, files in walk(root):
        below = folder.relative_to(root)
        yield from ((below / name).as_posix() for name in files if Path(name).suffix.lower() in images.SUFFIXES)
