"""Folders for results: made when they can be written to, and removed when nothing came of it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fkd.errors import UserError


def make_folder(folder: Path) -> None:
    """Makes a folder that files can be written to.

    Raises:
        UserError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder that can be written to ({error.strerror}); give another"
        ) from error


@contextmanager
def unless_wrong(folder: Path) -> Iterator[None]:
    """Makes a folder; when the block raises a UserError, it and those made for it are removed, if they are empty."""
    made = missing(folder)
    try:
        make_folder(folder)
        yield
    except UserError:
        remove_empty(made)
        raise


def missing(folder: Path) -> list[Path]:
    """The folders that will be made with this one, which comes first; none if it is there."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def remove_empty(folders: Sequence[Path]) -> None:
    """Removes folders, each below the next, up to the first that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
