"""Reading CSV files line by line, with errors that name the line."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from fkd.errors import UserError
from fkd.io.regular import regular_file


def csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line of a CSV file (RFC 4180), the header first, without empty lines.

    The header is UTF-8; other cells can hold names of files, which are any bytes.

    Raises:
        UserError: the file is missing or no CSV in UTF-8, or a line has more or fewer cells than the header.
    """
    csv.field_size_limit(2**24)  # a cell may hold the pixels of an image
    columns = 0
    try:
        with regular_file(path, "a CSV file") as file:
            header = file.readline(2**24)
            file.seek(0)
            has_text = b"," in header and header.decode("utf-8", "ignore").encode() == header
            errors = "surrogateescape" if has_text else "strict"
            reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", errors, newline=""))
            for cells in filter(None, reader):
                columns = columns or len(cells)
                if len(cells) != columns:
                    raise UserError(
                        f"{path} line {reader.line_num}: expected {columns} columns, as the header has, "
                        f"found {len(cells)}"
                    )
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a CSV file in UTF-8, found something else ({error})") from error
