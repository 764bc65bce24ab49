"""Archives of strangers, unpacked so that nothing is written outside a folder, and no more than was allowed.

Only files and folders are unpacked: links, devices and sparse files are refused, and so are encrypted ones and names
that lead elsewhere or come twice. What an archive says of itself is never trusted: bytes are counted as they come.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from fkd.errors import UserError
from fkd.io.download.entries import Bounds, Entry, opened, too_many
from fkd.progress import progress

_PIECE = 1 << 20  # bytes


def unpack(archive: Path, target: Path, folder: str | None, bounds: Bounds) -> dict[str, str]:
    """Unpacks a zip or tar (plain, .gz, .xz) into a folder that is empty; gives each file's SHA-256.

    Args:
        archive: the file; what it is says its content, not its name.
        target: where its files go; what is there after a failure is for the caller to remove, see `whole_folder`.
        folder: of this folder of the archive alone; None for all.
        bounds: beyond them it is refused.

    Returns:
        Name below the target, with forward slashes -> hexadecimal digits.

    Raises:
        UserError: by the file's name: it is refused, damaged or cut off, or the disk is full.
    """
    wanted = PurePosixPath(folder or "").parts
    digests: dict[str, str] = {}
    tops: dict[str, None] = {}
    where = "its start"
    try:
        with opened(archive, target, bounds) as (entries, total), progress("Unpacking", total) as advance:
            for number, entry in enumerate(entries, start=1):
                where = repr(entry.name)
                if number > bounds.files:
                    raise too_many(archive, bounds.files)
                parts = _parts(archive, entry)
                tops |= {"/".join(parts[:depth]): None for depth in (1, 2) if len(tops) < 6 and len(parts) >= depth}
                if parts[: len(wanted)] == wanted and len(parts) > len(wanted) and not entry.is_folder:
                    name = "/".join(parts[len(wanted) :])
                    digests[name] = _write(archive, target / name, entry)
                advance()
    except UserError:
        raise
    except Exception as error:  # a stranger's archive can be broken in more ways than the libraries list
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{archive}: damaged or cut off at {where} ({reason}); delete the file, so that it is downloaded again"
        ) from error
    if not digests:
        raise UserError(
            f"{archive}: expected files in the folder {folder or '.'}, found none; it holds {', '.join(tops) or 'none'}"
            "; correct data.download.folder"
        )
    return digests


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes its name when the block ends, or leaves nothing if the block fails.

    Raises:
        UserError: there is something of that name that is no empty folder.
    """
    temporary = path.with_name(f".{path.name}.unpacking")  # the same every time, so that none is left for ever
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rmdir()  # fails unless it is empty
        temporary.rename(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); nothing was changed, give another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _parts(archive: Path, entry: Entry) -> tuple[str, ...]:
    """The folders and the name of an entry that is a file or a folder below the root, for sure."""
    path = PureWindowsPath(entry.name)  # knows / and \ and drive letters
    is_below = not path.anchor and not any(part == ".." or PureWindowsPath(part).drive for part in path.parts)
    if not is_below or not entry.name.isprintable() or not (path.parts or entry.is_folder):
        raise UserError(
            f"{archive}: expected names of files below one folder, found {entry.name!r}; nothing was unpacked"
        )
    if entry.problem is not None:
        raise UserError(
            f"{archive}: expected files and folders, found {entry.problem}, {entry.name!r}; nothing was unpacked"
        )
    return path.parts


def _write(archive: Path, path: Path, entry: Entry) -> str:
    """Copies a file that is not there yet; gives its SHA-256."""
    digest = hashlib.sha256()
    with _writing(archive, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for piece in _pieces(entry):
                digest.update(piece)
                file.write(piece)
            found = file.tell()
    if found != entry.size:
        raise ValueError(f"expected {entry.size:,} bytes, found {found:,}")
    return digest.hexdigest()


def _pieces(entry: Entry) -> Iterator[bytes]:
    source = entry.open()
    try:
        while piece := source.read(_PIECE):
            yield piece
    except OSError as error:  # the archive's: it must not be taken for the disk's
        raise ValueError(str(error)) from error


@contextmanager
def _writing(archive: Path, path: Path) -> Iterator[None]:
    """Says what the disk refuses."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"{archive}: expected each name once, found {path.name!r} twice (here capital letters may be small ones);"
            " nothing was unpacked"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room or give another folder") from error
