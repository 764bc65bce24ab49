"""Reading annotation files: numbers, names and texts, with messages that say where."""

import math
from pathlib import Path, PureWindowsPath

from fkd.errors import UserError


def leads_out(name: str) -> bool:
    """Whether a file's name is none, or leads out of the folder it is to be in on some system."""
    pieces = PureWindowsPath(name)  # knows / and \\ and drive letters
    return not name.strip() or "\0" in name or bool(pieces.anchor) or ".." in pieces.parts


def below(folder: Path, name: str, where: str, what: str = "a picture") -> Path:
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


def missing(split: str) -> str:
    """What to do where the file of a split is not there."""
    return f"set data.{split}=FILE" + ("" if split == "train" else f", or data.{split}=null to hold some of train out")


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
