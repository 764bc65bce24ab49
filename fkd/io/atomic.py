"""Atomic writes, and file locks that end with their process."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Atomic write: a temporary file in the same folder, renamed on success, removed if the block fails."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
