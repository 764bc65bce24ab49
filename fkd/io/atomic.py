"""Atomic writes, and file locks that end with their process."""

import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fkd.errors import UserError

if sys.platform != "win32":
    import fcntl


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Atomic write: a temporary file in the same folder, renamed on success, removed if the block fails.

    Raises:
        OSError: the file cannot be written; named by its path, also where a library hides why its writing failed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except Exception as error:
        if (refused := refusal(error)) is None:
            raise
        raise OSError(refused.errno, refused.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def refusal(error: BaseException | None) -> OSError | None:
    """Why the system refused to write, if that led to an exception: a full disk, missing rights, a folder removed.

    None for a UserError, which says more already.
    """
    found = None
    while error is not None and not isinstance(error, UserError) and (found is None or found.filename is None):
        if isinstance(error, OSError):
            gone = error.errno == errno.ENOENT and not Path(os.fsdecode(error.filename or ".")).parent.exists()
            named = error.filename is not None and error.errno in (errno.EACCES, errno.EPERM, errno.EIO)
            short = error.errno is None and "requested and" in str(error)  # NumPy's message of a short write
            if gone or named or short or error.errno in (*_FULL, errno.EFBIG, errno.EROFS):
                is_full = short or error.errno in _FULL
                reason = "disk full" if is_full else "its folder is gone" if gone else error.strerror
                found = OSError(errno.ENOSPC if short else error.errno, reason, error.filename)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


_FULL = (errno.ENOSPC, errno.EDQUOT) if sys.platform != "win32" else (errno.ENOSPC,)


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Holds a lock on a file during the block; gives whether it is held.

    It is not held where there are no file locks (Windows, some network drives). The system releases it at the end of
    the process, even if that is killed.

    Args:
        path: the file; it is made if missing, and stays.
        wait: wait until no other process holds the lock; otherwise the block runs without it.
    """
    if sys.platform == "win32":
        yield False
        return
    with path.open("ab") as file:
        _held.add(file)
        try:
            yield _lock(file, wait)
        finally:
            _held.discard(file)


def _lock(file: BinaryIO, wait: bool) -> bool:
    for _ in range(5):  # again, because `is_locked` of another process holds the lock for a moment
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


def _close_held() -> None:
    for file in _held:
        file.close()


_held: set[BinaryIO] = set()
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_held)  # otherwise data workers keep the lock of a killed process


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock; False if the file is missing or unreadable."""
    if sys.platform == "win32":
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all folders below it in alphabetical order, each with the names of its files.

    Links are followed, but each folder is visited once.
    """
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield Path(parent), sorted(names)
