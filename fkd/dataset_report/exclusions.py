"""The list of faces to leave out of training, in the format of `data.exclude`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks import Finding
from fkd.io.atomic import whole_file
from fkd.types import Annotations


def excluded(faces: Faces, findings: Sequence[Finding]) -> Rows:
    """The training rows that any finding excludes, in ascending order.

    Rows of other splits stay: a test without its hard faces would be easier, and could not be compared with any other.
    """
    named = np.unique([row for finding in findings for row in finding.exclude]).astype(np.int64)
    return np.intersect1d(named, faces.splits["train"])


def write_exclusions(path: Path, faces: Faces, findings: Sequence[Finding]) -> None:
    """Write one face a line: ``path``, or ``path<TAB>k`` for face k, counted from 0, of an image with several faces.

    A ``# reason`` stands before the faces of each finding; a face of several findings is listed with the first.
    """
    with whole_file(path) as file:
        file.write("".join(f"{line}\n" for line in _lines(faces, findings)).encode())


def _lines(faces: Faces, findings: Sequence[Finding]) -> Iterator[str]:
    yield "# Faces of the training split to leave out: data.exclude=FILE takes this list; remove what should stay."
    names, listed = _names(faces.table, excluded(faces, findings)), set[int]()
    for finding in findings:
        if rows := [row for row in finding.exclude if row in names and row not in listed]:
            yield f"# {' '.join(finding.title.split())}"
            yield from (names[row] for row in rows)
            listed.update(rows)


def _names(table: Annotations, rows: Rows) -> dict[int, str]:
    """The names of these rows in the list."""
    paths, seen, numbers = table.paths.tolist(), Counter[str](), []
    for path in paths:
        numbers.append(seen[path])
        seen[path] += 1
    return {row: paths[row] + (f"\t{numbers[row]}" if seen[paths[row]] > 1 else "") for row in rows.tolist()}
