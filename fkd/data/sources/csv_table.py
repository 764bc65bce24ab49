"""Tables with an image's name and its points in each row."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow

from fkd.data.face_data import Faces
from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import below, leads_out, missing, named, number
from fkd.errors import UserError, short

_UNKNOWN = ("", "nan", "NaN", "NAN")
"""Cells of a point that nobody knows."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what; each by its header or by its number from 0 on.

    Attributes:
        image: name of the image; None if the row holds the image itself, which is then called `own_name`.
        points: where x0, y0, x1, y1, ... begin; or two headers, of x and of y, in which ``{name}`` or ``{i}`` stands
            for a point's name in the schema or its number.
        subject: name of the subject; None if there is no such column.
        may_lack: whether an empty cell is a point that is not known, and not a mistake.
    """

    image: str | int | None
    points: int | Sequence[str]
    subject: str | int | None
    may_lack: bool


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
    """All rows of CSV files, each a face (RFC 4180: commas, quotes, a header). Points are in pixels from 0 on.

    Args:
        files: the set.
        train, val, test: files below its root; for None see `FileSet`.
        images: folder of the images, below the root.
        image_column, columns, subject_column: see `Columns`.

    Raises:
        UserError: what a file lacks, by line.
    """
    if not isinstance(images, str):
        raise UserError(f"data.images={images}: expected a folder below {files.root}")
    which = Columns(image_column, columns, subject_column, may_lack=True)
    names = named({"train": train, "val": val, "test": test})
    for split, name in names.items():
        if not (files.folder / str(name)).is_file():
            raise UserError(f"{files.folder / str(name)}: expected a CSV file, found none; {missing(split)}")
    tables = [(Table(files, files.folder / str(name), which, images), split) for split, name in names.items()]
    return files.faces(Listing.joined([table.listing(split) for table, split in tables]), names)


class Table:
    """One CSV file of a set.

    Args:
        files: the set.
        path: the file.
        columns: what stands where.
        folder: of the images, below the set's root.

    Raises:
        UserError: the file is missing, no CSV file, or lacks a column.
    """

    def __init__(self, files: FileSet, path: Path, columns: Columns, folder: str) -> None:
        self.path, self._columns, self._root = path, columns, files.folder / folder
        self._folder = "" if folder.strip("/") in ("", ".") else f"{folder.strip('/')}/"
        self.header = next(_lines(path), (1, []))[1]
        if not self.header:
            raise UserError(f"{path}: expected rows, found none")
        if len(self.header) == 1:
            raise UserError(f"{path} line 1: expected columns with commas between them, found {short(self.header[0])}")
        if _is_data(self.header):
            raise UserError(f"{path} line 1: expected a header, found a row, {short(', '.join(self.header))}")
        self._image = None if columns.image is None else self.column(columns.image)
        self._subject = None if columns.subject is None else self.column(columns.subject)
        self._texts = [place for place in (self._image, self._subject) if place is not None]
        self._points = self._places(columns.points, files)

    def listing(self, split: str) -> Listing:
        """All faces.

        Arrow reads a million rows in seconds. What it cannot read, or what looks wrong, is read again row by row, which
        says where.

        Raises:
            UserError: a row is broken, or there is none.
        """
        try:
            batches = [*self._batches()]
        except (pa.ArrowInvalid, _BrokenError):
            return Listing.of(self._rows(split), len(self._points) // 2)
        texts: dict[str, str] = {}  # an image or a subject of many rows is one object
        names = [texts.setdefault(value, value) for batch in batches for value in batch[0]]
        subjects = [texts.setdefault(value, value) for batch in batches for value in batch[1]]
        pieces = [batch[2] for batch in reversed(batches)]
        del batches
        pa.default_memory_pool().release_unused()
        points, filled = np.empty((sum(map(len, pieces)), *pieces[0].shape[1:]), np.float32), 0
        while pieces:  # given back one by one: all of them and their copy would be twice the table
            piece = pieces.pop()
            points[filled : filled + len(piece)] = piece
            filled += len(piece)
        known = np.isfinite(points[..., 0]) & np.isfinite(points[..., 1])
        points[~known] = 0
        count = len(points)
        if self._image is None:
            names = [own_name(self.path, line) for line, _ in self.lines()]
        return Listing(
            images=[self._folder + name for name in names],
            keypoints=points,
            visible=known,
            splits=np.full(count, split),
            sizes=np.zeros((count, 2), np.int64),
            subjects=subjects or [None] * count,
            where=self._where,
        )

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each line below the header.

        Raises:
            UserError: a line has not as many cells as the header, or is no text.
        """
        for line, cells in islice(_lines(self.path), 1, None):
            if len(cells) != len(self.header):
                expected = f"expected {len(self.header)} columns, as the header has"
                raise UserError(f"{self.path} line {line}: {expected}, found {len(cells)}")
            yield line, cells

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

    def _places(self, which: int | Sequence[str], files: FileSet) -> list[int]:
        """Numbers of the columns of x0, y0, x1, y1, ..."""
        if isinstance(which, int):
            found = [place for place in range(max(which, 0), len(self.header)) if place not in self._texts]
            if which < 0 or len(found) != 2 * files.count:
                raise UserError(
                    f"{self.path}: expected {2 * files.count} columns, x and y of {files.count} points, from column "
                    f"{which} on, found {len(found)}; choose the schema of these labels (schema=NAME) or a mapping "
                    "to it (data/mapping=NAME)"
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
        return [self.column(each) for each in wanted]

    def _batches(self) -> Iterator[tuple[list[str], list[str], npt.NDArray[np.float32]]]:
        """Names of images and of subjects, none where there is no such column, and points (n, P, 2), piece by piece."""
        titles = [str(place) for place in range(len(self.header))]
        kinds = {str(place): pa.float64() for place in self._points}
        kinds |= {str(place): pa.string() for place in self._texts}
        reader = arrow.open_csv(
            self.path,
            arrow.ReadOptions(column_names=titles, skip_rows=1, block_size=1 << 24),
            convert_options=arrow.ConvertOptions(
                column_types=kinds, include_columns=[*kinds], null_values=_UNKNOWN, strings_can_be_null=False
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
            halves = (lacking[:, ::2] != lacking[:, 1::2]).any()
            if np.isinf(points).any() or halves or (lacking.any() and not self._columns.may_lack) or "" in subjects:
                raise _BrokenError
            if any(map(leads_out, {*names} - checked)):
                raise _BrokenError
            checked |= {*names}
            rows += len(batch)
            yield names, subjects, points.reshape(len(batch), -1, 2)
        if not rows:
            raise _BrokenError

    def _rows(self, split: str) -> Iterator[Row]:
        """All faces, one by one."""
        line = 0
        for line, cells in self.lines():
            where = f"{self.path} line {line}"
            name = own_name(self.path, line) if self._image is None else cells[self._image]
            below(self._root, name, where)
            values = np.array([number(cells[place]) for place in self._points])
            for bad in np.flatnonzero(~np.isfinite(values)):
                cell, title = cells[self._points[bad]], self.header[self._points[bad]]
                if not (self._columns.may_lack and cell in _UNKNOWN):
                    raise UserError(
                        f"{where}: expected a number as {'xy'[bad % 2]} of point {bad // 2} (column {title}), "
                        f"found {cell!r}"
                    )
            known = np.isfinite(values).reshape(-1, 2)
            if (half := known[:, 0] != known[:, 1]).any():
                raise UserError(f"{where}: expected both x and y of point {half.argmax()}, or neither, found one")
            visible = known[:, 0]
            keypoints = np.where(visible[:, None], values.reshape(-1, 2), 0)
            subject = None if self._subject is None else cells[self._subject]
            if subject is not None and not subject.strip():
                raise UserError(f"{where}: expected the name of a subject (column {self._columns.subject}), found none")
            yield Row(where, self._folder + name, keypoints, visible, split, subject=subject)
        if not line:
            raise UserError(f"{self.path}: expected rows, found none")

    def _where(self, row: int) -> str:
        line = next(line for line, _ in islice(self.lines(), row, None))
        return f"{self.path} line {line}"


def _is_data(cells: Sequence[str]) -> bool:
    """Whether most of a line's cells are numbers, and not those that columns without names are counted by."""
    numbers = [value for cell in cells if math.isfinite(value := number(cell))]
    return 2 * len(numbers) > len(cells) and set(np.diff(numbers)) != {1}


def own_name(path: Path, line: int) -> str:
    """What the image is called that a line of a file holds."""
    return f"{path.name}/{line:07}"


class _BrokenError(Exception):
    """Something looks wrong."""


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(2**24)  # pixels of an image can be one cell
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except OSError as error:
        raise UserError(f"{path}: expected a CSV file, found none ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a CSV file in UTF-8, found something else ({error})") from error
