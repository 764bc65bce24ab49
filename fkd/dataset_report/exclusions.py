"""The list of faces to leave out of training, in the format of `data.exclude`."""

import csv
from collections import Counter
from collections.abc import Sequence
from io import StringIO
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
    """Write one face a line: ``"path"``, or ``"path"<TAB>k`` for face k, from 0 on, of an image with several faces.

    A ``# reason`` stands before the faces of each finding; a face of several findings is listed with the first. See
    `fkd.data.sources.exclusion_list`.
    """
    text, names, listed = StringIO(newline=""), _names(faces.table, excluded(faces, findings)), set[int]()
    text.write(
        "# Faces of the training split to leave out: data.exclude=FILE takes this list; remove what should stay.\n"
    )
    cells = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for finding in findings:
        if rows := [row for row in finding.exclude if row in names and row not in listed]:
            text.write(f"# {' '.join(finding.title.split())}\n")
            cells.writerows(names[row] for row in rows)
            listed.update(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogatepass"))  # names that are no UTF-8 have surrogates


def _names(table: Annotations, rows: Rows) -> dict[int, list[str | int]]:
    """The cells of these rows in the list."""
    paths, seen, numbers = table.paths.tolist(), Counter[str](), []
    for path in paths:
        numbers.append(seen[path])
        seen[path] += 1
    return {row: [paths[row], *([numbers[row]] if seen[paths[row]] > 1 else [])] for row in rows.tolist()}
