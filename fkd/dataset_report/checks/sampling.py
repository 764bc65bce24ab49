"""Which rows and images an examination looks at, and how findings say so."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import SPLITS, Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.finding import EXAMPLES
from fkd.terminal import progress
from fkd.types import Annotations, Points

_PIECE = 10_000
Mask = npt.NDArray[np.bool_]


def sample(rows: Rows, most: int, seed: int = 0) -> Rows:
    """The rows, or so many of them at random, the same ones for the same seed; in ascending order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def pieces(rows: Rows, title: str) -> Iterator[Rows]:
    """The rows in pieces that leave room for calculations in double precision, with a bar if there are several."""
    if len(rows) <= _PIECE:
        yield rows
        return
    starts = range(0, len(rows), _PIECE)
    with progress(title, len(starts)) as advance:
        for start in starts:
            yield rows[start : start + _PIECE]
            advance()


def split_numbers(faces: Faces) -> npt.NDArray[np.int8]:
    """(N,) the place in `SPLITS` of each row's split; -1 where it is in none."""
    numbers = np.full(len(faces.table), -1, np.int8)
    for number, split in enumerate(SPLITS):
        numbers[faces.splits[split]] = number
    return numbers


def point_boxes(table: Annotations) -> Points:
    """(N, 4) the upright boxes around the visible points of each face, photo pixels; NaN if it has none."""
    boxes = np.empty((len(table), 4), np.float32)
    for start in range(0, len(boxes), _PIECE):  # copies of all points would be as large as the table
        rows = slice(start, start + _PIECE)
        points, visible = np.moveaxis(table.keypoints[rows], 2, 0).copy(), table.visible[rows]
        for axis, values in enumerate(points):  # numpy is slow over an axis that is not the last
            boxes[rows, axis] = np.where(visible, values, np.inf).min(axis=1)
            boxes[rows, 2 + axis] = np.where(visible, values, -np.inf).max(axis=1)
    boxes[~np.isfinite(boxes).all(axis=1)] = np.nan
    return boxes


def published(table: Annotations, rows: Rows) -> npt.NDArray[np.float64]:
    """(M, K, 2) photo pixels of rows (M,), as their files have them: with the shift that the source took off."""
    keypoints, shift = (column[rows].astype(np.float64) for column in (table.keypoints, table.label_shift))
    return table.schema.shifted(keypoints, shift)


def examples(rows: Rows, telling: npt.NDArray[np.floating]) -> tuple[int, ...]:
    """The rows (M,) of the highest numbers (M,), highest first, no more than a finding shows."""
    return tuple(rows[np.argsort(-telling, kind="stable")][:EXAMPLES].tolist())


def of(count: int, total: int, things: str) -> str:
    """E.g. "3 of 1,000 faces"."""
    return f"{count:,} of {total:,} {things}"


def reach(values: npt.NDArray[np.floating], form: str) -> str:
    """From the smallest to the largest value, in a format such as ".1f"; one of them where they read alike."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
