"""Atomic unpacking of untrusted archives.

zipfile and tarfile write no more of a member than its header says. Names that lead out of the folder, links, devices,
and more files or bytes than allowed are refused.
"""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path, PureWindowsPath
from typing import IO, Any, NamedTuple, cast

from rich.filesize import decimal

from fkd.errors import UserError
from fkd.terminal import progress

_MAX_HEADER = 1 << 20  # bytes
_COMPRESSIONS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


@contextmanager
def unpacked(
    archive: Path, root: Path, folder: str | None, *, max_bytes: int, max_files: int, max_ratio: float
) -> Iterator[Path]:
    """Unpacks beside the archive; the result is renamed to `root` if the block succeeds, otherwise removed.

    Args:
        archive: a zip or tar (plain, gz, bz2, xz), whatever its name.
        root: missing or an empty folder, on the disk of the archive.
        folder: the folder of the archive that becomes `root`; None: all of it.
        max_bytes: largest number of unpacked bytes.
        max_files: largest number of files and folders.
        max_ratio: largest ratio of unpacked bytes to bytes of the archive.

    Raises:
        UserError: the archive is refused or damaged, or the disk is full.
    """
    target = archive.with_name("unpacked")
    chosen = target / (folder or "")
    shutil.rmtree(target, ignore_errors=True)
    try:
        target.mkdir()
        _unpack(archive, target, min(max_bytes, int(max_ratio * archive.stat().st_size)), max_files)
        if not _is_below(folder or "") or not any(path.is_file() for path in chosen.rglob("*")):
            there = sorted(path.relative_to(target).as_posix() for path in (*target.glob("*"), *target.glob("*/*")))
            found = f"expected files in the folder {folder or '.'}, found {', '.join(there[:6]) or 'none'}"
            raise UserError(f"{archive}: {found}; correct data.download.folder")
        yield chosen
        if root.exists():
            root.rmdir()  # fails unless it is empty
        chosen.rename(root)
    except OSError as error:
        raise UserError(f"{root}: cannot be made ({error.strerror}); make room or give another data.root") from error
    finally:
        shutil.rmtree(target, ignore_errors=True)


class _Member(NamedTuple):
    name: str
    is_plain: bool  # a file or a folder
    end: int  # unpacked bytes up to its end
    extract: Callable[[], object]


def _unpack(archive: Path, target: Path, max_bytes: int, max_files: int) -> None:
    place = "its start"
    try:
        with _opened(archive, target) as (members, count), progress("Unpacking", count) as advance:
            for number, member in enumerate(members, start=1):
                place = repr(member.name)
                if not _is_below(member.name):
                    problem = f"names of files below one folder, found {place}; do not trust it"
                elif not member.is_plain:
                    problem = f"files and folders, found a link, a device or a sparse file, {place}; do not trust it"
                elif number > max_files:
                    problem = f"at most {max_files:,} files and folders, found more; raise max_files if you trust it"
                elif member.end > max_bytes:
                    most = f"at most {decimal(max_bytes)} unpacked"
                    problem = f"{most}, found more; raise max_unpacked or max_ratio if you trust it"
                else:
                    member.extract()
                    advance()
                    continue
                raise UserError(f"{archive}: expected {problem}")
    except UserError:
        raise
    except Exception as error:  # the libraries can fail in any way on an untrusted file
        if isinstance(error, OSError) and error.errno is not None:  # from the disk
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{archive}: expected a whole zip or tar (gz, bz2, xz), found one that is damaged or something else, at"
            f" {place} ({reason}); delete it to download it again, or correct data.download.url"
        ) from error


def _is_below(name: str) -> bool:
    """Whether a name stays below its folder on every system, and is printable."""
    parts = PureWindowsPath(name).parts  # knows /, \ and drive letters
    leads_out = any(part == ".." or PureWindowsPath(part).anchor for part in parts)
    return name.isprintable() and "\\" not in name and not leads_out


@contextmanager
def _opened(archive: Path, target: Path) -> Iterator[tuple[Iterator[_Member], int | None]]:
    """The members of an archive, in order, and their number if it is known."""
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(archive) as zip_file:
            infos = zip_file.infolist()
            kinds = (stat.S_IFMT(info.external_attr >> 16) for info in infos)  # 0 if it was not made on Unix
            are_plain = (kind in (0, stat.S_IFREG, stat.S_IFDIR) for kind in kinds)
            extracts = (partial(zip_file.extract, info, target) for info in infos)
            ends = accumulate(info.file_size for info in infos)
            yield map(_Member, zip_file.namelist(), are_plain, ends, extracts), len(infos)
    else:
        opener = next((opener for magic, opener in _COMPRESSIONS.items() if start.startswith(magic)), open)
        with opener(archive, "rb") as file:
            yield _tar_members(_Forward(file), target), None


def _tar_members(file: "_Forward", target: Path) -> Iterator[_Member]:
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as tar:
        for member in tar:
            is_plain = (member.isreg() or member.isdir()) and not member.issparse()
            extract = partial(tar.extract, member, target, filter="data")
            yield _Member(member.name, is_plain, member.offset_data + member.size, extract)
            tar.members.clear()  # type: ignore[attr-defined]  # frees the memory of the headers
    file.check_end()


class _Forward:
    """A decompressed tar, read once from start to end, so that no header can lead into a loop or fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._last = file, b""
        self.tell = file.tell

    def seek(self, place: int) -> None:
        if place < self.tell():
            raise tarfile.ReadError("a header leads backwards")
        self._file.seek(place)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:  # files are copied in smaller pieces
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self._last = self._file.read(size)
        return self._last

    def check_end(self) -> None:
        """Reads to the end, where gzip, bz2 and xz verify checksums; tarfile takes a damaged header as the end."""
        if len(self._last) != tarfile.BLOCKSIZE or any(self._last):
            raise tarfile.ReadError("the next header is damaged or missing")
        self._file.read(_MAX_HEADER)  # padding
        if self._file.read(1):
            raise tarfile.ReadError("more data after the end")
