"""What an archive holds, entry by entry and in order, its bytes counted as they come."""

import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

from rich.filesize import decimal

from fkd.errors import UserError

_PIECE = 1 << 20  # bytes
_ENCRYPTED = 1  # bit of a zip entry's flags (APPNOTE 4.4.4)
_LISTED = b"PK\1\2"  # what each entry of a zip's directory begins with (APPNOTE 4.3.12)
_TAR_BLOCK = 512  # bytes


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold at most.

    Attributes:
        bytes: of all its files together.
        files: files and folders.
        ratio: bytes for each byte of the archive.
    """

    bytes: int
    files: int
    ratio: float


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes: ...


class Entry(NamedTuple):
    """A file or a folder, or what else an archive may hold."""

    name: str
    size: int  # in bytes, as it says
    is_folder: bool
    problem: str | None  # what else it is than a file or a folder
    open: Callable[[], "Readable"]


@contextmanager
def opened(archive: Path, target: Path, bounds: Bounds) -> Iterator[tuple[Iterator[Entry], int | None]]:
    """The entries of an archive, to be read in order, and their number; None if nobody knows.

    Args:
        archive: a zip or tar (plain, .gz, .xz), whatever its name.
        target: the folder that they are meant for.
        bounds: reading an entry beyond them raises.

    Raises:
        UserError: it is something else, or there is no room for what it says that it holds.
    """
    budget = _Budget(archive, bounds)
    with archive.open("rb") as file:
        start = file.read(_TAR_BLOCK)
        file.seek(0)
        if start.startswith((b"PK\3\4", b"PK\5\6")):
            with _Watched(archive, bounds.files) as content, zipfile.ZipFile(content) as archive_file:
                content.is_read = True
                infos = archive_file.infolist()
                _check_room(archive, target, sum(info.file_size for info in infos))
                yield (_zip_entry(archive_file, info, budget) for info in infos), len(infos)
            return
        packed: Readable
        if start.startswith(b"\x1f\x8b"):
            packed = gzip.GzipFile(fileobj=file)
        elif start.startswith(b"\xfd7zXZ\0"):
            packed = lzma.LZMAFile(file)  # noqa: SIM115 (holds nothing but the file)
        elif start[257:262] == b"ustar":
            packed = file
        else:
            raise UserError(
                f"{archive}: expected a zip or a tar (plain, .gz or .xz), found something else; correct"
                " data.download.url, and delete the file"
            )
        yield _tar_entries(_Counted(packed, budget), target), None


def too_many(archive: Path, files: int) -> UserError:
    """What to say of an archive with more than so many files and folders."""
    return UserError(
        f"{archive}: expected at most {files:,} files and folders, found more; raise max_files if you trust it"
    )


class _Watched(io.BufferedReader):
    """A zip's bytes, watched until its directory is read.

    The library takes that in one piece, and then makes of each entry an object ten times as large, however many the
    archive says there are.
    """

    is_read = False

    def __init__(self, archive: Path, files: int) -> None:
        super().__init__(io.FileIO(archive))
        self._archive, self._files = archive, files

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not self.is_read and piece.startswith(_LISTED) and piece.count(_LISTED) > self._files:
            raise too_many(self._archive, self._files)
        return piece


def _check_room(archive: Path, target: Path, needed: int) -> None:
    if needed > (free := shutil.disk_usage(target).free):
        raise UserError(f"{archive}: expected room for {decimal(needed)} in {target.parent}, found {decimal(free)}")


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: "_Budget") -> Entry:
    kind = stat.S_IFMT(info.external_attr >> 16)  # zero where the archive was not made on Unix
    problem = None
    if info.flag_bits & _ENCRYPTED:
        problem = "an encrypted file (unpack it by hand)"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "a link" if kind == stat.S_IFLNK else "a device"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # of others a piece can be huge
        problem = f"a file packed by method {info.compress_type} (pack it with an ordinary zip)"
    return Entry(info.filename, info.file_size, info.is_dir(), problem, lambda: _Counted(archive.open(info), budget))


def _tar_entries(file: "_Counted", target: Path) -> Iterator[Entry]:
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as archive:
        for member in archive:
            content = partial(archive.extractfile, member)
            problem = _tar_problem(member, target)
            yield Entry(member.name, member.size, member.isdir(), problem, cast(Callable[[], Readable], content))
    # The library takes a damaged header for the end, and gzip and xz check their sums only there.
    if len(file.last) != _TAR_BLOCK or any(file.last):
        raise tarfile.ReadError("no end")
    while file.read(_PIECE):
        pass


def _tar_problem(member: tarfile.TarInfo, target: Path) -> str | None:
    if member.issym() or member.islnk():
        return "a link"
    if not (member.isreg() or member.isdir()) or member.issparse():
        return "a sparse file" if member.issparse() else "a device"
    try:
        tarfile.data_filter(member, str(target))
    except tarfile.FilterError as error:
        return f"what is no data ({error})"
    return None


class _Counted:
    """Unpacked bytes, read in order and counted against the bounds."""

    def __init__(self, source: Readable, budget: "_Budget") -> None:
        self._source, self._budget, self._place = source, budget, 0
        self.last = b""

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        """Only forwards, so that no archive can lead round in circles."""
        if place < self._place:
            raise tarfile.ReadError("a place before one that was read")
        while self._place < place and self.read(min(place - self._place, _PIECE)):
            pass

    def read(self, size: int) -> bytes:
        if size > _PIECE:  # a header of that size would have to be held in memory
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.last = self._source.read(size)
        self._place += len(self.last)
        self._budget.spend(len(self.last))
        return self.last


class _Budget:
    def __init__(self, archive: Path, bounds: Bounds) -> None:
        self._archive, self._bounds, self._spent = archive, bounds, 0
        self._by_ratio = bounds.ratio * archive.stat().st_size

    def spend(self, count: int) -> None:
        self._spent += count
        if self._spent > self._bounds.bytes:
            most, key = decimal(self._bounds.bytes), "max_unpacked"
        elif self._spent > self._by_ratio:
            most, key = f"{self._bounds.ratio:g} times its size", "max_ratio"
        else:
            return
        raise UserError(
            f"{self._archive}: expected at most {most} when unpacked, found more; raise {key} if you trust it"
        )
