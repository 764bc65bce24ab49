"""The rows and images that a check looks at."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import SPLITS, Faces
from fkd.data.split import Rows
from fkd.terminal import progress
from fkd.types import Annotations, Image, Points

_PIECE = 10_000
_REFINED = 3  # times that the middle of values is refined
Mask = npt.NDArray[np.bool_]


def sample(rows: Rows, most: int, seed: int = 0) -> Rows:
    """The rows, or `most` of them at random, the same ones for the same seed; in ascending order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def pieces(rows: Rows, title: str) -> Iterator[Rows]:
    """The rows in pieces small enough for calculations in float64, with a progress bar if there are several."""
    if len(rows) <= _PIECE:
        yield rows
        return
    starts = range(0, len(rows), _PIECE)
    with progress(title, len(starts)) as advance:
        for start in starts:
            yield rows[start : start + _PIECE]
            advance()


def of_images(faces: Faces, rows: Rows, title: str, measure: Callable[[Image], object]) -> npt.NDArray[np.int64]:
    """Measure the image of each row (M,), each image once, with a progress bar: (M, ...)."""
    images, place = np.unique(faces.table.images[rows], return_inverse=True)
    measured = []
    with progress(title, len(images)) as advance:
        for image in images.tolist():
            measured.append(measure(faces.images[image]))
            advance()
    return np.array(measured, np.int64)[place]


def split_numbers(faces: Faces) -> npt.NDArray[np.int8]:
    """(N,) the index in `SPLITS` of each row's split; -1 for rows in no split."""
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
    """(M, K, 2) photo pixels of rows (M,) as in the source's files: with the label shift that the source took off."""
    keypoints, shift = (column[rows].astype(np.float64) for column in (table.keypoints, table.label_shift))
    return table.schema.shifted(keypoints, shift)


def outliers(
    values: npt.NDArray[np.floating], deviations: float, least: float = 0.0
) -> tuple[Mask, float, npt.NDArray[np.float64]]:
    """(N,) the values far above the others, the middle of the others, and (N,) standard deviations above it.

    Middle and deviation are those of the shortest interval with half of the values (Rousseeuw, "Least Median of Squares
    Regression", JASA 79, 1984), refined on the values near it: nearly half of the values may be outliers.

    Args:
        values: (N,) of nearly normal distribution, but for the outliers.
        deviations: standard deviations from the middle.
        least: the smallest standard deviation.
    """
    ordered, half = np.sort(values), len(values) // 2
    widths = ordered[half:] - ordered[: len(values) - half]
    start = widths.argmin()
    middle, spread = ordered[start] + widths[start] / 2, widths[start] / 2
    for _ in range(_REFINED):
        spread = max(1.4826 * spread, least)  # the standard deviation of normal values
        near = values[abs(values - middle) <= 3 * spread]
        middle = np.median(near)
        spread = np.median(abs(near - middle))
    above = (values - middle) / max(1.4826 * spread, least, np.finfo(float).tiny)
    return above > deviations, float(middle), above


def reach(values: npt.NDArray[np.floating], form: str) -> str:
    """The smallest to the largest value, in a format such as ".1f"; one of them if both give the same text."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
