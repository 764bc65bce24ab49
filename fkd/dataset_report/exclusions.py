"""The list of faces that should be left out of training, as `data.exclude` takes it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks import Finding
from fkd.io.atomic import whole_file
from fkd.types import Annotations

NAME = "exclude.txt"


def excluded(faces: Faces, findings: Sequence[Finding]) -> Rows:
    """The rows that any finding wants left out of training, in ascending order.

    Only those of the training split: a test without its hard faces would say less, and compare with no other.
    """
    named = np.unique([row for finding in findings for row in finding.exclude]).astype(np.int64)
    return np.intersect1d(named, faces.splits["train"])


def write_exclusions(path: Path, faces: Faces, findings: Sequence[Finding]) -> None:
    """Writes one face a line, ``path`` or, of an image with several faces, ``path<TAB>k``, the k-th of them from 0 on.

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
    """What the list calls each of these rows."""
    if len(rows) == 0:  # spares sorting a million names
        return {}
    _, image, faces = np.unique(table.paths, return_inverse=True, return_counts=True)
    order = np.argsort(image, kind="stable")
    starts = np.cumsum(faces) - faces
    places = np.empty(len(table), np.int64)
    places[order] = np.arange(len(table)) - starts[image[order]]
    named = {}
    for row in rows.tolist():
        alone = faces[image[row]] == 1
        named[row] = str(table.paths[row]) if alone else f"{table.paths[row]}\t{places[row]}"
    return named
