"""Every image decoded once, into one memory-mapped file that workers, epochs and runs share.

The file holds the pixels of all images one after the other, then a table with one row per image (place of its first
byte, height, width, channels) and last what says that all of it was written. The operating system keeps in memory what
is in use, once for all processes.
"""

import hashlib
import mmap
import os
import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fkd.distributed import cores
from fkd.errors import UserError
from fkd.io.atomic import locked, whole_file
from fkd.terminal import progress
from fkd.types import Image

_FORMAT = b"fkdimg01"
_END = struct.Struct("<8sqq")  # format, number of images, number of bytes before the table
_Table = npt.NDArray[np.int64]


class Images(Protocol):
    """Decoded images by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image: ...


@runtime_checkable
class Keyed(Protocol):
    """Images that tell what they are made of: `key` stands for it, and a changed image changes it."""

    @property
    def key(self) -> str: ...


class ImageCache:
    """Read-only images of any sizes in one file. Pickling it carries the file's name only.

    ``cache[i]`` is a view of the file, (H, W) or (H, W, 3) uint8, that costs no copy. An image that nobody needs and
    that could not be read has no pixels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def build(
        cls,
        directory: Path,
        key: str,
        count: int,
        read: Callable[[int], Image],
        title: str,
        needed: npt.NDArray[np.bool_] | None = None,
    ) -> "ImageCache":
        """The cache of this key, opened where it exists and is whole, made with a pool of threads where not.

        Args:
            directory: where caches live; made if need be.
            key: stands for all that the images were made of; a changed image must change it.
            count: number of images.
            read: gives image i; called from several threads.
            title: what the progress bar says.
            needed: (count,) which images must have pixels, or the cache is made anew; None: it does not matter.

        Raises:
            UserError: the folder cannot be written or is full (then nothing half written stays), or ``read`` says so.
        """
        return cls.from_images(directory, key, count, lambda: _in_order(read, count), title, "data.cache_dir", needed)

    @classmethod
    def from_images(
        cls,
        directory: Path,
        key: str,
        count: int,
        images: Callable[[], Iterable[Image]],
        title: str,
        option: str,
        needed: npt.NDArray[np.bool_] | None = None,
    ) -> "ImageCache":
        """The same for a source that makes its images in order: ``images`` is called only if the cache is missing.

        ``option`` is the config key that chooses the directory, for the message of an error.
        """
        cache = cls(directory.absolute() / f"{key}.images")
        try:
            if not cache._is_whole(count, needed):
                directory.mkdir(parents=True, exist_ok=True)
                with locked(directory / f".{key}.lock", wait=True) as alone:
                    if not cache._is_whole(count, needed):  # else another process made it meanwhile
                        _write(cache.path, _with_progress(images(), count, title), alone)
                        cache._is_whole(count, needed)
        except OSError as error:
            raise UserError(
                f"{directory}: cannot keep decoded images here ({error.strerror});"
                f" set {option} to a folder that can be written and has room"
            ) from error
        return cache

    @property
    def key(self) -> str:
        """What stands for all that the images were made of."""
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

    def _is_whole(self, count: int, needed: npt.NDArray[np.bool_] | None) -> bool:
        content = _open(self.path)
        if content is None or len(content[1]) != count:
            return False
        if needed is not None and not content[1][needed, 1].all():
            return False
        self._content = content
        return True


def files_key(paths: Sequence[Path | None], channels: int) -> str:
    """A digest that changes when a file's name, size or time of change does, or the number of channels.

    None stands for a file that there is not.

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
    """All bytes before the table, and the table (N, 4); None if there is no such file or it is not whole."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - _END.size, 0))
            end = file.read()
            if len(end) < _END.size:
                return None
            name, count, pixel_bytes = _END.unpack(end)
            if name != _FORMAT or size != pixel_bytes + count * 32 + _END.size:
                return None
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError:
        return None
    # A copy, so that its numbers lie as the processor wants them.
    table = np.frombuffer(content[pixel_bytes : -_END.size].tobytes(), "<i8").reshape(count, 4)
    return content[:pixel_bytes], table


def _write(path: Path, images: Generator[Image], alone: bool) -> None:
    if alone:
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a build that was killed
            leftover.unlink(missing_ok=True)
    table, place = [], 0
    with whole_file(path) as file, closing(images):  # an error of the file must end the threads and the bar, too
        for image in images:
            height, width, channels = image.shape if image.ndim == 3 else (*image.shape, 1)
            table.append((place, height, width, channels))
            place += file.write(np.ascontiguousarray(image, np.uint8).data)
        file.write(np.array(table, "<i8").tobytes())
        file.write(_END.pack(_FORMAT, len(table), place))
        file.flush()
        os.fsync(file.fileno())


def _in_order(read: Callable[[int], Image], count: int) -> Iterator[Image]:
    """Images 0 to count - 1, read by threads that stay only a few images ahead of who takes them."""
    threads = min(cores(), 16)
    waiting: deque[Future[Image]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for index in range(count):
                waiting.append(pool.submit(read, index))
                if len(waiting) >= 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _with_progress(images: Iterable[Image], count: int, title: str) -> Generator[Image]:
    with progress(title, count) as advance:
        for image in images:
            yield image
            advance()
