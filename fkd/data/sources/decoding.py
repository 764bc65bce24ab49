"""Decoded image files of a dataset, and their hashes."""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.data.cache import ImageCache, files_key
from fkd.data.image_hashes import file_hash
from fkd.distributed import cores
from fkd.errors import UserError
from fkd.io import array_file, images
from fkd.terminal import progress
from fkd.types import Hashes, Image

_SHOWN = 5


def decoded(
    name: str,
    folder: Path,
    files: Sequence[str | None],
    needed: npt.NDArray[np.bool_],
    asked: npt.NDArray[np.bool_],
    channels: int,
    cache_dir: Path,
) -> tuple[ImageCache, Hashes]:
    """The images of some files, in order, and the hashes of these files, which are kept beside the cache.

    The cache holds all images that are asked for, needed or not: so it is the same whichever are needed. If one of all
    images is there, it is taken.

    Args:
        name: of the dataset.
        folder: of the files.
        files: their names in the folder; None for an image that is not needed and has no file.
        needed: (N,) images that must be readable, among those asked for.
        asked: (N,) images to decode; the others may have no pixels and no hash.
        channels: 1 for grey, 3 for RGB.
        cache_dir: folder of the cache.

    Raises:
        UserError: needed images cannot be read; it names all of them.
    """
    paths = [None if file is None else folder / file for file in files]
    key = f"{name}-{files_key(paths, channels)}"
    if not asked.all() and not ImageCache.is_there(cache_dir, key, len(paths), needed):
        paths = [path if is_asked else None for path, is_asked in zip(paths, asked.tolist(), strict=True)]
        key = f"{name}-{files_key(paths, channels)}"
    hashes = np.zeros(len(paths), np.uint64)
    errors: dict[int, UserError] = {}

    def read(index: int) -> Image:
        if (path := paths[index]) is None:
            return no_pixels(channels)
        try:
            hashes[index] = file_hash(path)  # here, while the file is in memory
            return images.read(path, channels)
        except UserError as error:
            if needed[index]:
                errors[index] = error
            return no_pixels(channels)

    def pixels(index: int) -> int:
        return 0 if (path := paths[index]) is None else images.pixel_count(path)

    def all_images() -> Generator[Image]:
        return images.read_ahead(read, range(len(paths)), pixels, min(cores(), 16))

    cache = ImageCache.build(cache_dir, key, len(paths), all_images, "Decoding images", needed=needed)
    if errors:
        cache.path.unlink(missing_ok=True)
        broken = [str(files[index]) for index in sorted(errors)]
        if len(broken) == 1:
            (error,) = errors.values()
            raise UserError(f"{error}; or name {broken[0]} in a file that data.exclude=FILE leaves out") from error
        shown = ", ".join(broken[:_SHOWN]) + ", ..." * (len(broken) > _SHOWN)
        raise UserError(
            f"{errors[min(errors)]}; {len(broken):,} of {needed.sum():,} images cannot be read: {shown}; copy them "
            "again, or name them in a file, one a line, that data.exclude=FILE leaves out"
        )
    kept = cache.path.with_suffix(f".hashes{array_file.SUFFIX}")
    if not hashes.any():  # an earlier run has decoded the images
        found = array_file.read(kept)
        if found is not None and (found.shape, found.dtype) == (hashes.shape, hashes.dtype):
            return cache, found
        hashes = _file_hashes(paths)
    with suppress(OSError):
        array_file.write(kept, hashes)
    return cache, hashes


def no_pixels(channels: int) -> Image:
    """The cache's entry for an image that is not needed and cannot be read."""
    return np.zeros((0, 0) if channels == 1 else (0, 0, channels), np.uint8)


def _file_hashes(paths: Sequence[Path | None]) -> Hashes:
    hashes = np.zeros(len(paths), np.uint64)
    with progress("Hashing images", len(paths)) as advance, ThreadPoolExecutor(min(cores(), 16)) as pool:
        for index, found in enumerate(pool.map(lambda path: 0 if path is None else file_hash(path), paths)):
            hashes[index] = found
            advance()
    return hashes
