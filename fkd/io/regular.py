"""Opening files that are read: regular ones only."""

import stat
from pathlib import Path
from typing import BinaryIO

from fkd.errors import UserError


def regular_file(path: str | Path, expected: str, advice: str = "", where: str = "") -> BinaryIO:
    """Opens a regular file for reading; opening a pipe or a device could block, and reading one might never end.

    Args:
        path: the file.
        expected: what it should be, for the error, e.g. "a CSV file".
        advice: what to do otherwise.
        where: names the file in the error; by default its path.

    Raises:
        UserError: it is missing, unreadable, or a folder, pipe, socket or device.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb")
        found = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
    except FileNotFoundError:
        found = "a link to nothing" if path.is_symlink() else "no such file"
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        found = f"a file that cannot be read ({reason})"
    raise UserError(f"{where or path}: expected {expected}, found {found}{advice and f'; {advice}'}")
