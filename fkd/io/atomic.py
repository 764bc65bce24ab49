"""Atomic writes, and file locks that end with their process."""

import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fkd.errors import UserError

if sys.platform != "win32":
    import fcntl


_LEFTOVER = re.compile(r"\.(.+\.)?[0-9a-f]{8}\.tmp", re.DOTALL)
_LONGEST = 255
"""Bytes of a file's name."""
_cleared: set[str] = set()
"""Folders in which this process has removed what killed processes left."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Atomic write: a temporary file in the same folder, renamed on success, removed if the block fails.

    A process's first write into a folder, or lock there, removes the temporary files of killed processes.

    Raises:
        OSError: the file cannot be written; named by its path, also where a library hides why its writing failed.
    """
    with _temporary(path, Path.touch) as temporary:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside a path, removed at the end of the block or, after a kill, as by `whole_file`."""
    with _temporary(path, Path.mkdir) as temporary:
        yield temporary


@contextmanager
def _temporary(path: Path, make: Callable[..., None]) -> Iterator[Path]:
    """A new file or folder beside a path, locked until the end of the block, and then removed if it is still there."""
    _clear(path.parent)
    try:
        with ExitStack() as lock:
            while True:
                temporary = path.with_name(temporary_name(path.name, ".tmp"))
                make(temporary, exist_ok=False)
                with suppress(FileNotFoundError):  # another process removed it before it was locked
                    lock.enter_context(_opened(temporary, wait=True))
                    if temporary.exists():
                        break
            try:
                yield temporary
            finally:
                with suppress(OSError):
                    _remove(temporary)
    except Exception as error:
        if (refused := refusal(error)) is None:
            raise
        raise OSError(refused.errno, refused.strerror, str(path)) from error


def temporary_name(name: str, end: str) -> str:
    """`.NAME.XXXXXXXX` and an end, with random digits; a long NAME loses characters, so that a file can have it."""
    end = f".{secrets.token_hex(4)}{end}"
    while len(os.fsencode(f".{name}{end}")) > _LONGEST:
        name = name[:-1]
    return f".{name}{end}"


def _clear(folder: Path) -> None:
    """Removes temporary files and folders whose processes have ended."""
    if (place := os.path.abspath(folder)) in _cleared:
        return
    _cleared.add(place)
    with suppress(OSError), os.scandir(folder) as entries:
        for path in [Path(entry) for entry in entries if _LEFTOVER.fullmatch(entry.name) and not entry.is_symlink()]:
            with suppress(OSError), _opened(path, wait=False) as has_ended:
                if has_ended:
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
    _clear(path.parent)
    with _opened(path, wait, os.O_CREAT) as is_held:
        yield is_held


@contextmanager
def _opened(path: Path, wait: bool, flags: int = 0) -> Iterator[bool]:
    """Opens a file or folder and holds a lock on it, if possible; gives whether it does."""
    if sys.platform == "win32":
        yield False
        return
    flags |= os.O_NONBLOCK | (os.O_RDONLY if path.is_dir() else os.O_RDWR)  # some drives lock only what can be written
    number = os.open(path, flags, 0o666)
    _held.add(number)
    try:
        yield _lock(number, wait)
    finally:
        if number in _held:
            _held.remove(number)
            os.close(number)


def _lock(number: int, wait: bool) -> bool:
    for _ in range(5):  # again, because `is_locked` of another process holds the lock for a moment
        try:
            fcntl.flock(number, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            break
    return False


def _close_held() -> None:
    while _held:
        os.close(_held.pop())


_held: set[int] = set()
"""Numbers of open files that have a lock."""
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_held)  # otherwise data workers keep the lock of a killed process


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock; False if the file is missing or unreadable."""
    if sys.platform == "win32":
        return False
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its other end
    except OSError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(number)
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
