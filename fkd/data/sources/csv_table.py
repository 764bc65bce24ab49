"""CSV tables with the name of an image and its points in each row."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow

from fkd.data.face_data import Faces
from fkd.data.sources.annotation_list import Listing
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import below, leads_out, missing, named, number
from fkd.errors import UserError, short
from fkd.io.csv_lines import csv_lines

_EMPTY = ("", "nan", "NaN", "NAN")
"""Cells of a point that is not known."""

_Part = tuple[list[str], list[str], npt.NDArray[np.float32]]
"""Names of images and of subjects, empty without such a column, and points (n, P, 2), NaN where not known."""


def csv_table(
    files: FileSet,
    train: str | None,
    val: str | None,
    test: str | None,
    images: str,
    image_column: str | int,
    columns: int | Sequence[str],
    subject_column: str | int | None,
) -> Faces:
    """All rows of CSV files (RFC 4180) with a header, each a face; the first pixel's centre is at (0, 0).

    Args:
        files: the dataset.
        train, val, test: files below its root; for None see `FileSet`.
        images: folder of the images, below the root.
        image_column, columns, subject_column: see `Table`.

    Raises:
        UserError: an error of a file, by line.
    """
    if not isinstance(images, str):
        raise UserError(f"data.images={images}: expected a folder below {files.root}")
    names = named({"train": train, "val": val, "test": test})
    paths = {split: files.folder / str(name) for split, name in names.items()}
    for split, path in paths.items():
        if not path.is_file():
            raise UserError(f"{path}: expected a CSV file, found none; {missing(split)}")
    tables = {split: Table(files, path, image_column, columns, subject_column, images) for split, path in paths.items()}
    return files.faces(Listing.joined([table.listing(split) for split, table in tables.items()]), names)


class Table:
    """One CSV file of a dataset. A column is given by its header or by its number from 0 on.

    Args:
        files: the dataset.
        path: the file.
        image: column of the image's name; None if the row holds the image itself, which is then called `own_name`.
        points: the column where x0, y0, x1, y1, ... start; or two headers, of x and of y, in which ``{name}`` or
            ``{i}`` stands for a point's name in the schema or its number.
        subject: column of the subject's name; None if there is none.
        folder: of the images, below the dataset's root.
        may_lack: whether an empty cell is a point that is not known instead of an error.

    Raises:
        UserError: the file is missing, no CSV file, or lacks a column.
    """

    def __init__(
        self,
        files: FileSet,
        path: Path,
        image: str | int | None,
        points: int | Sequence[str],
        subject: str | int | None = None,
        folder: str = "",
        may_lack: bool = True,
    ) -> None:
        self.path, self._root, self._may_lack = path, files.folder / folder, may_lack
        self._folder = "" if folder.strip("/") in ("", ".") else f"{folder.strip('/')}/"
        self.header = next(csv_lines(path), (1, []))[1]
        if not self.header:
            raise UserError(f"{path}: expected rows, found none")
        if len(self.header) == 1:
            raise UserError(f"{path} line 1: expected columns with commas between them, found {short(self.header[0])}")
        if _is_data(self.header):
            raise UserError(f"{path} line 1: expected a header, found a row, {short(', '.join(self.header))}")
        self._image = None if image is None else self.column(image)
        self._subject = None if subject is None else self.column(subject)
        self._texts = [place for place in (self._image, self._subject) if place is not None]
        self._points = self._point_columns(points, files)

    def listing(self, split: str) -> Listing:
        """All faces.

        Arrow reads a million rows in seconds. A file with an error is read again line by line, for the error's line.

        Raises:
            UserError: an error in a row, or no rows.
        """
        try:
            parts = [*self._read_by_arrow()]
        except (pa.ArrowInvalid, _BrokenError):
            parts = [self._read_by_line()]
        texts: dict[str, str] = {}  # rows with the same image or subject share one object
        names = [texts.setdefault(value, value) for part in parts for value in part[0]]
        subjects = [texts.setdefault(value, value) for part in parts for value in part[1]]
        pieces = [part[2] for part in reversed(parts)]
        del parts
        pa.default_memory_pool().release_unused()
        points, filled = np.empty((sum(map(len, pieces)), *pieces[0].shape[1:]), np.float32), 0
        while pieces:  # each is freed at once, because all of them and their copy would be twice the table
            piece = pieces.pop()
            points[filled : filled + len(piece)] = piece
            filled += len(piece)
        known = ~np.isnan(points[..., 0])
        points[~known] = 0
        if self._image is None:
            names = [own_name(self.path, line) for line, _ in self.lines()]
        return Listing(
            images=np.array([self._folder + name for name in names], object),
            keypoints=points,
            visible=known,
            splits=np.full(len(points), split),
            sizes=np.zeros((len(points), 2), np.int64),
            subjects=np.array(subjects if subjects else [None] * len(points), object),
            where=self._where,
        )

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each line below the header; see `csv_lines`."""
        return islice(csv_lines(self.path), 1, None)

    def column(self, which: str | int) -> int:
        """The number of a column.

        Raises:
            UserError: there is none of this name or number.
        """
        if isinstance(which, int) and 0 <= which < len(self.header):
            return which
        if which in self.header:
            return self.header.index(str(which))
        more = ", ..." * (len(self.header) > 8)
        raise UserError(
            f"{self.path}: expected a column {which}, found {len(self.header)}: {', '.join(self.header[:8])}{more}"
        )

    def _point_columns(self, which: int | Sequence[str], files: FileSet) -> list[int]:
        """The numbers of the columns of x0, y0, x1, y1, ..."""
        if isinstance(which, int):
            found = [place for place in range(max(which, 0), len(self.header)) if place not in self._texts]
            if which < 0 or len(found) != 2 * files.count:
                cure = (
                    ""
                    if all(title.isdigit() for title in self.header[1:])
                    # Udacity's columns have no names
                    else (', or name the columns of the points, e.g. \'data.columns=["{name}_x","{name}_y"]\'')
                )
                raise UserError(
                    f"{self.path}: expected {2 * files.count} columns, x and y of {files.count} points, from column "
                    f"{which} on, found {len(found)}; choose the schema of these labels (schema=NAME) or a mapping "
                    f"to it (data/mapping=NAME){cure}"
                )
            return found
        if isinstance(which, str) or len(which) != 2:
            raise UserError(f"data.columns={which}: expected the first column's number, or the headers of x and y")
        names = files.names or [""] * files.count
        try:
            wanted = [axis.format(name=name, i=i) for i, name in enumerate(names) for axis in which]
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise UserError(
                f"data.columns={list(which)}: expected {{name}} or {{i}} in both headers ({error})"
            ) from error
        return [self.column(header) for header in wanted]

    def _read_by_arrow(self) -> Iterator[_Part]:
        titles = [str(place) for place in range(len(self.header))]
        kinds = {str(place): pa.float64() for place in self._points}
        kinds |= {str(place): pa.string() for place in self._texts}
        reader = arrow.open_csv(
            self.path,
            arrow.ReadOptions(column_names=titles, skip_rows=1, block_size=1 << 24),
            convert_options=arrow.ConvertOptions(
                column_types=kinds, include_columns=[*kinds], null_values=_EMPTY, strings_can_be_null=False
            ),
        )
        rows = 0
        checked: set[str] = set()
        for batch in reader:
            points = np.empty((len(batch), len(self._points)), np.float32)
            with np.errstate(over="ignore"):
                for i, place in enumerate(self._points):
                    points[:, i] = batch.column(str(place)).to_numpy(zero_copy_only=False)
            names, subjects = (
                [] if place is None else batch.column(str(place)).to_pylist() for place in (self._image, self._subject)
            )
            lacking = np.isnan(points)
            has_half_points = (lacking[:, ::2] != lacking[:, 1::2]).any()
            if np.isinf(points).any() or has_half_points or (lacking.any() and not self._may_lack) or "" in subjects:
                raise _BrokenError
            if any(map(leads_out, {*names} - checked)):
                raise _BrokenError
            checked |= {*names}
            rows += len(batch)
            yield names, subjects, points.reshape(len(batch), -1, 2)
        if not rows:
            raise _BrokenError

    def _read_by_line(self) -> _Part:
        """All rows at once; raises a UserError for the first error."""
        names, subjects, points = [], [], []
        for line, cells in self.lines():
            where = f"{self.path} line {line}"
            if self._image is not None:
                below(self._root, cells[self._image], where)
                names.append(cells[self._image])
            values = np.array([number(cells[place]) for place in self._points])
            for bad in np.flatnonzero(~np.isfinite(values)):
                cell, title = cells[self._points[bad]], self.header[self._points[bad]]
                if not (self._may_lack and cell in _EMPTY):
                    raise UserError(
                        f"{where}: expected a number as {'xy'[bad % 2]} of point {bad // 2} (column {title}), "
                        f"found {cell!r}"
                    )
            lacking = np.isnan(values).reshape(-1, 2)
            if (half := lacking[:, 0] != lacking[:, 1]).any():
                raise UserError(f"{where}: expected both x and y of point {half.argmax()}, or neither, found one")
            if self._subject is not None:
                if not cells[self._subject].strip():
                    title = self.header[self._subject]
                    raise UserError(f"{where}: expected the name of a subject (column {title}), found none")
                subjects.append(cells[self._subject])
            points.append(values)
        if not points:
            raise UserError(f"{self.path}: expected rows, found none")
        with np.errstate(over="ignore"):  # too large numbers become infinite and are refused later
            return names, subjects, np.array(points).astype(np.float32).reshape(len(points), -1, 2)

    def _where(self, row: int) -> str:
        line = next(line for line, _ in islice(self.lines(), row, None))
        return f"{self.path} line {line}"


def own_name(path: Path, line: int) -> str:
    """The name of an image that is inside a line of a file."""
    return f"{path.name}/{line:07}"


def _is_data(cells: Sequence[str]) -> bool:
    """Whether most cells are numbers, unless they only number the columns."""
    numbers = [value for cell in cells if math.isfinite(value := number(cell))]
    return 2 * len(numbers) > len(cells) and set(np.diff(numbers)) != {1}


class _BrokenError(Exception):
    """Arrow has read something that may be an error."""
