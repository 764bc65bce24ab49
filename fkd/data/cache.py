"""Every image decoded once, into one memory-mapped file that workers, epochs and runs share.

The file holds the pixels of all images one after the other, a table with one row per image (first byte, height, width,
channels), and a footer that is written last. The operating system keeps the pages in use in memory, once for all
processes.
"""

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError
from fkd.io.atomic import locked, whole_file
from fkd.terminal import progress
from fkd.types import Image

_FORMAT = b"fkdimg01"
_FOOTER = struct.Struct("<8sqq")  # format, number of images, number of bytes before the table
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
    not be read has no pixels.
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
        cache = cls(directory.absolute() / f"{key}.images")
        try:
            if not cache._is_complete(count, needed):
                directory.mkdir(parents=True, exist_ok=True)
                with locked(directory / f".{key}.lock", wait=True) as is_alone:
                    if not cache._is_complete(count, needed):  # otherwise another process has just made it
                        cache._write(images(), count, title, is_alone)
                        cache._is_complete(count, needed)
        except OSError as error:
            raise UserError(
                f"{directory}: cannot keep decoded images here ({error.strerror});"
                f" set {option} to a folder that can be written and has room"
            ) from error
        return cache

    @property
    def key(self) -> str:
        """The hash of everything that the images were made from."""
        return self.path.stem

    def __len__(self) -> int:
        return len(self._content[1])

    def __getitem__(self, index: int) -> Image:
        pixels, table = self._content
        start, height, width, channels = table[index].tolist()
        flat = pixels[start : start + height * width * channels]
        return flat.reshape((height, width) if channels == 1 else (height, width, channels))

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}

    @cached_property
    def _content(self) -> tuple[Image, _Table]:
        if (content := _open(self.path)) is None:
            raise UserError(f"{self.path}: the decoded images are gone or cut off; run again to make them anew")
        return content

    def _is_complete(self, count: int, needed: npt.NDArray[np.bool_] | None) -> bool:
        """Whether the file has all images; then it stays open."""
        content = _open(self.path)
        if content is None or len(content[1]) != count:
            return False
        if needed is not None and not content[1][needed, 1].all():
            return False
        self._content = content
        return True

    def _write(self, images: Generator[Image], count: int, title: str, is_alone: bool) -> None:
        if is_alone:
            for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
        table, place = [], 0
        # An error of the file must close the generator, which ends its threads.
        with whole_file(self.path) as file, closing(images), progress(title, count) as advance:
            for image in images:
                height, width, channels = image.shape if image.ndim == 3 else (*image.shape, 1)
                table.append((place, height, width, channels))
                place += file.write(np.ascontiguousarray(image, np.uint8).data)
                advance()
            file.write(np.array(table, "<i8").tobytes())
            file.write(_FOOTER.pack(_FORMAT, len(table), place))
            file.flush()
            os.fsync(file.fileno())


def files_key(paths: Sequence[Path | None], channels: int) -> str:
    """A hash of the names, sizes and modification times of files (None: no file) and of the number of channels.

    Raises:
        UserError: a file is missing.
    """
    digest = hashlib.sha256(_FORMAT + f"{channels}\0".encode())
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


def _open(path: Path) -> tuple[Image, _Table] | None:
    """All bytes before the table, and the table (N, 4); None if the file is missing or incomplete."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - _FOOTER.size, 0))
            footer = file.read()
            if len(footer) < _FOOTER.size:
                return None
            name, count, pixel_bytes = _FOOTER.unpack(footer)
            if name != _FORMAT or size != pixel_bytes + count * 32 + _FOOTER.size:
                return None
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError:
        return None
    # A copy, because the table is not aligned in the file.
    table = np.frombuffer(content[pixel_bytes : -_FOOTER.size].tobytes(), "<i8").reshape(count, 4)
    return content[:pixel_bytes], table
