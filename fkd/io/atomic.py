"""Files that appear whole or not at all, and locks that end with the process that holds them."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for writing, that takes its name when the block ends, or leaves nothing if the block fails."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # the same folder: renaming cannot copy
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Holds a lock on a file, which is made if need be; gives whether it is held.

    The system takes the lock back when the process ends, however it ends.

    Args:
        path: the file; it stays, empty.
        wait: until no other process holds the lock; otherwise the block runs without it.

    The lock is not held, either, where there are no file locks (Windows, some network drives).
    """
    if sys.platform == "win32":
        yield False
        return
    with path.open("ab") as file:
        _held.add(file)
        try:
            yield _lock(file, fcntl.LOCK_EX) if wait else _lock_at_once(file)
        finally:
            _held.discard(file)


def _lock(file: BinaryIO, how: int) -> bool:
    try:
        fcntl.flock(file, how)
    except OSError:
        return False
    return True


def _lock_at_once(file: BinaryIO) -> bool:
    for _ in range(5):  # `is_locked` of another process holds it for a moment, too
        if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
        time.sleep(0.02)
    return False


def _let_go() -> None:
    for file in _held:
        file.close()


_held: set[BinaryIO] = set()
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)  # or data workers would hold the lock of a process that was killed


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock; False if there is no such file, or none that can be read."""
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
    """A folder and all below it in alphabetical order, each with the names of its files; links are followed once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield Path(place), sorted(names)
