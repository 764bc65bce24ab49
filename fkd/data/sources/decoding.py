"""Image files of a set, decoded."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.data.cache import ImageCache, files_key
from fkd.data.contents import file_hash, keep_hashes, kept_hashes
from fkd.errors import UserError
from fkd.io import images
from fkd.terminal import progress
from fkd.types import Hashes, Image

_SHOWN = 5


def decoded(
    name: str,
    folder: Path,
    files: Sequence[str | None],
    needed: npt.NDArray[np.bool_],
    channels: int,
    cache_dir: Path,
) -> tuple[ImageCache, Hashes]:
    """The images of some files, in order, and hashes of these files, which are kept beside the images.

    All of them are kept, so that the cache is the same whichever are needed.

    Args:
        name: of the set.
        folder: of the files.
        files: their names in it; None for an image that nobody needs and that is not there.
        needed: (N,) which of them must be readable.
        channels: 1 for grey, 3 for RGB.
        cache_dir: where decoded images are kept.

    Raises:
        UserError: needed images that cannot be read, all of them: who mends one should not meet the next one then.
    """

    hashes = np.zeros(len(files), np.uint64)

    def read(index: int) -> Image:
        file = files[index]
        if file is None:
            return no_pixels(channels)
        try:
            hashes[index] = file_hash(folder / file)  # here, since the file is not read a second time then
            return images.read(folder / file, channels)
        except UserError as error:
            if not needed[index]:
                return no_pixels(channels)
            raise _UnreadableError(str(error)) from error

    key = f"{name}-{files_key([None if file is None else folder / file for file in files], channels)}"
    try:
        cache = ImageCache.build(cache_dir, key, len(files), read, "Decoding images", needed)
    except _UnreadableError as error:
        wanted = [file for file, is_needed in zip(files, needed, strict=True) if is_needed and file is not None]
        if len(broken := _unreadable(folder, wanted, channels)) < 2:
            raise UserError(str(error)) from error
        shown = ", ".join(broken[:_SHOWN]) + ", ..." * (len(broken) > _SHOWN)
        raise UserError(
            f"{error}; {len(broken):,} of {len(wanted):,} images cannot be read: {shown}; copy them again, or name "
            "them in a file, one a line, that data.exclude=FILE leaves out"
        ) from error
    kept = cache.path.with_suffix(".hashes.npy")
    if not hashes.any():  # decoded by another run
        return cache, kept_hashes(kept, len(files), lambda: _file_hashes(folder, files))
    keep_hashes(kept, hashes)
    return cache, hashes


def _file_hashes(folder: Path, files: Sequence[str | None]) -> Hashes:
    def hashed(file: str | None) -> int:
        return 0 if file is None else file_hash(folder / file)

    hashes = np.zeros(len(files), np.uint64)
    with progress("Hashing images", len(files)) as advance, ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        for index, found in enumerate(pool.map(hashed, files)):
            hashes[index] = found
            advance()
    return hashes


def no_pixels(channels: int) -> Image:
    """What a cache holds of an image that nobody needs and that cannot be read."""
    return np.zeros((0, 0) if channels == 1 else (0, 0, channels), np.uint8)


def _unreadable(folder: Path, files: Sequence[str], channels: int) -> list[str]:
    names = []
    with progress("Looking for others like it", len(files)) as advance:
        for file in files:
            try:
                images.read(folder / file, channels)
            except UserError:
                names.append(file)
            advance()
    return names


class _UnreadableError(UserError):
    """An image is."""
