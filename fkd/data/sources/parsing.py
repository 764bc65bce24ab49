"""Reading annotation files: numbers, names and texts, with messages that say where."""

import math
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import TypeVar

from fkd.errors import UserError

_Files = TypeVar("_Files")


def leads_out(name: str) -> bool:
    """Whether a file's name is none, or leads out of the folder it is to be in on some system."""
    pieces = PureWindowsPath(name)  # knows / and \\ and drive letters
    return not name.strip() or "\0" in name or bool(pieces.anchor) or ".." in pieces.parts


def below(folder: Path, name: str, where: str, what: str = "an image") -> Path:
    """The file of this name below a folder; `what` it is, for messages.

    Raises:
        UserError: the name is none, or leads out of the folder on some system.
    """
    if leads_out(name):
        raise UserError(f"{where}: expected the name of {what} below {folder}, found {name!r}")
    return folder / name


def text(path: Path, kind: str, advice: str) -> str:
    """All of a text file in UTF-8, with or without a spreadsheet's mark.

    Args:
        path: the file.
        kind: what it should be, for messages.
        advice: what to do if it is missing.

    Raises:
        UserError: it is missing, unreadable or not text.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: expected {kind}, found none ({error.strerror}); {advice}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected {kind} in UTF-8, found byte {error.start} to be something else") from error


def named(files: Mapping[str, _Files | None]) -> dict[str, _Files]:
    """The splits that have files of their own, of all three with their files.

    Raises:
        UserError: none has.
    """
    if not (found := {split: some for split, some in files.items() if some}):
        raise UserError(
            "data.train, data.val, data.test: expected files for one of them, found none; set data.train=FILE"
        )
    return found


def missing(split: str) -> str:
    """What to do where the file of a split is not there."""
    without = "to score or look at the others alone" if split == "train" else "to hold some of train out"
    return f"set data.{split}=FILE, or data.{split}=null {without}"


def check_first_pixel(value: object) -> None:
    """Raises UserError where a file's coordinates are said to begin elsewhere than at 0 or 1."""
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
