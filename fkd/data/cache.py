"""Every image decoded once, into one memory-mapped file that workers, epochs and runs share.

The file holds the pixels of all images one after the other, a table with one row per image (first byte, height, width,
channels, CRC-32 of the pixels), and a footer that is written last. The operating system keeps the pages in use in
memory, once for all processes.
"""

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError
from fkd.io.atomic import locked, whole_file
from fkd.terminal import progress, tell
from fkd.types import Image

_KEY = b"fkdimg01"  # stays when the format changes, so that a new cache replaces the old one
_FORMAT = b"fkdimg02"
_FOOTER = struct.Struct("<8sqqI")  # format, number of images, number of bytes before the table, CRC-32 of the table
_ROW = 5 * 8  # bytes
_Table = npt.NDArray[np.int64]


class Images(Protocol):
    """Decoded images by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image: ...


@runtime_checkable
class Keyed(Protocol):
    """Images with a `key` that changes when an image changes."""

    @property
    def key(self) -> str: ...


class ImageCache:
    """Read-only images of any sizes in one file. Pickling it carries only the file's name.

    ``cache[i]`` is a view of the file, (H, W) or (H, W, 3) uint8, without a copy. An image that is not needed and could
    not be read has no pixels. When a process reads an image for the first time, its checksum is compared.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def build(
        cls,
        directory: Path,
        key: str,
        count: int,
        images: Callable[[], Generator[Image]],
        title: str,
        option: str = "data.cache_dir",
        needed: npt.NDArray[np.bool_] | None = None,
    ) -> "ImageCache":
        """The cache of this key: opened if it exists and is complete, otherwise made.

        Args:
            directory: folder of the caches; made if missing.
            key: hash of everything that the images are made from; a changed image must change it.
            count: number of images.
            images: gives all images in order; called only if the cache has to be made. See `fkd.io.images.read_ahead`.
            title: of the progress bar.
            option: the config key of the directory, for messages.
            needed: (count,) images that must have pixels; the cache is made again if one has none. None: no image.

        Raises:
            UserError: the folder cannot be written or is full (no partial file stays), or ``images`` raises it.
        """
        cache = cls.of_key(directory, key)
        try:
            if not cache._is_complete(count, needed):
                directory.mkdir(parents=True, exist_ok=True)
                with locked(directory / f".{key}.lock", wait=True):
                    if not cache._is_complete(count, needed):  # otherwise another process has just made it
                        if cache.path.exists():
                            tell(f"{cache.path}: damaged, cut off or older decoded images; made anew", is_error=True)
                        cache._write(images(), count, title)
                        cache._is_complete(count, needed)
        except OSError as error:
            raise UserError(
                f"{directory}: cannot keep decoded images here ({error.strerror});"
                f" set {option} to a folder that can be written and has room"
            ) from error
        return cache

    @classmethod
    def of_key(cls, directory: Path, key: str) -> "ImageCache":
        """The cache of this key, which need not be there."""
        return cls(directory.absolute() / f"{key}.images")

    @classmethod
    def is_there(cls, directory: Path, key: str, count: int, needed: npt.NDArray[np.bool_]) -> bool:
        """Whether the cache of this key exists and is complete; the arguments are those of `build`."""
        with suppress(OSError):
            return cls.of_key(directory, key)._is_complete(count, needed)
        return False

    @property
    def key(self) -> str:
        """The hash of everything that the images were made from."""
        return self.path.stem

    def __len__(self) -> int:
        return len(self._content[2])

    def __getitem__(self, index: int) -> Image:
        """Raises a UserError if the file was cut off since it was opened, or the image's pixels are damaged."""
        content, pixels, table = self._content
        start, height, width, channels, checksum = table[index].tolist()
        flat = pixels[start : start + height * width * channels]
        is_whole = content.size() >= len(content)  # reading a part that was cut off would end the process (SIGBUS)
        if is_whole and not self._is_checked[index]:
            is_whole = self._is_checked[index] = zlib.crc32(flat.data) == checksum
        if not is_whole:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            raise UserError(f"{self.path}: decoded image {index} is damaged; give the command again to make them anew")
        return flat.reshape((height, width) if channels == 1 else (height, width, channels))

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}

    @cached_property
    def _is_checked(self) -> npt.NDArray[np.bool_]:
        return np.zeros(len(self), bool)

    @cached_property
    def _content(self) -> tuple[mmap.mmap, Image, _Table]:
        if (content := _open(self.path)) is None:
            raise UserError(f"{self.path}: the decoded images are gone or cut off; run again to make them anew")
        return content

    def _is_complete(self, count: int, needed: npt.NDArray[np.bool_] | None) -> bool:
        """Whether the file has all images; then it stays open."""
        content = _open(self.path)
        if content is None or len(content[2]) != count:
            return False
        if needed is not None and not content[2][needed, 1].all():
            return False
        self._content = content
        return True

    def _write(self, images: Generator[Image], count: int, title: str) -> None:
        table, place = [], 0
        # An error of the file must close the generator, which ends its threads.
        with whole_file(self.path) as file, closing(images), progress(title, count) as advance:
            for image in images:
                height, width, channels = image.shape if image.ndim == 3 else (*image.shape, 1)
                pixels = np.ascontiguousarray(image, np.uint8)
                table.append((place, height, width, channels, zlib.crc32(pixels.data)))
                place += file.write(pixels.data)
                advance()
            rows = np.array(table, "<i8").tobytes()
            file.write(rows)
            file.write(_FOOTER.pack(_FORMAT, len(table), place, zlib.crc32(rows)))
            file.flush()
            os.fsync(file.fileno())


def files_key(paths: Sequence[Path | None], channels: int) -> str:
    """A hash of the names, sizes and modification times of files (None: no file) and of the number of channels.

    Raises:
        UserError: a file is missing.
    """
    digest = hashlib.sha256(_KEY + f"{channels}\0".encode())
    for path in paths:
        if path is None:
            digest.update(b"\0")
            continue
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"{path}: expected an image, found no such file ({error.strerror})") from error
        digest.update(f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:20]


def _open(path: Path) -> tuple[mmap.mmap, Image, _Table] | None:
    """The file, all its bytes before the table, and the table (N, 5); None if it is missing, incomplete or damaged."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - _FOOTER.size, 0))
            footer = file.read()
            if len(footer) < _FOOTER.size:
                return None
            name, count, pixel_bytes, checksum = _FOOTER.unpack(footer)
            if name != _FORMAT or min(count, pixel_bytes) < 0 or size != pixel_bytes + count * _ROW + _FOOTER.size:
                return None
            file.seek(pixel_bytes)
            rows = file.read(count * _ROW)
            if len(rows) != count * _ROW or zlib.crc32(rows) != checksum:
                return None
            content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):  # ValueError: cut off just now
        return None
    return content, np.frombuffer(content, np.uint8)[:pixel_bytes], np.frombuffer(rows, "<i8").reshape(count, 5)
