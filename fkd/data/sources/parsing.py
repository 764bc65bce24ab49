"""Numbers, names and texts of annotation files, with errors that name the place."""

import math
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import TypeVar

from fkd.errors import UserError
from fkd.io.regular import regular_file

LARGEST = 1e6
"""Pixels; no image is so large, and no point lies farther out."""

_Files = TypeVar("_Files")


def leads_out(name: str) -> bool:
    """Whether a file name is empty or leads out of its folder on some system."""
    path = PureWindowsPath(name)  # knows /, \\ and drive letters
    return not name.strip() or "\0" in name or bool(path.anchor) or ".." in path.parts


def below(folder: Path, name: str, where: str, what: str = "an image") -> Path:
    """The file of this name below a folder; `what` it should be, for messages.

    Raises:
        UserError: the name is empty or leads out of the folder on some system.
    """
    if leads_out(name):
        raise UserError(f"{where}: expected the name of {what} below {folder}, found {name!r}")
    return folder / name


def text(path: Path, kind: str, advice: str) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark, with its line ends as they are.

    Args:
        path: the file.
        kind: what it should be, for messages.
        advice: what to do if it is missing.

    Raises:
        UserError: the file is missing, unreadable or no text.
    """
    try:
        with regular_file(path, kind, advice) as file:
            return file.read().decode("utf-8-sig", "surrogatepass")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected {kind} in UTF-8, found byte {error.start} to be something else") from error


def named(files: Mapping[str, _Files | None]) -> dict[str, _Files]:
    """The splits that have files, with their files.

    Raises:
        UserError: no split has files.
    """
    if not (found := {split: some for split, some in files.items() if some}):
        raise UserError(
            "data.train, data.val, data.test: expected files for one of them, found none; set data.train=FILE"
        )
    return found


def missing(split: str) -> str:
    """What to do if the file of a split is missing."""
    without = "to score or look at the others alone" if split == "train" else "to hold some of train out"
    return f"set data.{split}=FILE, or data.{split}=null {without}"


def check_first_pixel(value: object) -> None:
    """Raises a UserError if the coordinates of the first pixel are neither 0 nor 1."""
    if isinstance(value, bool) or value not in (0, 1):
        raise UserError(f"data.first_pixel={value}: expected 0 or 1")


def number(cell: object) -> float:
    """A number, or NaN for anything else."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
