"""What an image shows, as digits, and hashes by which images are known under any name."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from fkd.io import images
from fkd.io.atomic import whole_file
from fkd.types import Hashes, Image

_blake2b = partial(hashlib.blake2b, digest_size=8)  # two of a million images share one with a chance of 3 in 10^8


def digest(image: Image) -> bytes:
    """What images (H, W) or (H, W, 3) share only if they are of one shape and the same pixel for pixel."""
    pixels = np.ascontiguousarray(image)
    hashed = hashlib.blake2b(repr(pixels.shape).encode())
    hashed.update(pixels.data)
    return hashed.digest()


def file_hash(path: Path) -> int:
    """The hash of an image file's bytes, which is the same on every machine; 0 if there is no such file."""
    try:
        with path.open("rb") as file:
            return _number(hashlib.file_digest(file, _blake2b).digest())
    except OSError:
        return 0


def pixel_hash(image: Image) -> int:
    """The hash of an image that has no file of its own, grey or in colours; 0 if it has no pixels."""
    return _number(digest(images.in_channels(image, 1))[:8]) if image.size else 0


def text_hash(text: str) -> int:
    """The hash of an image that this text stands for."""
    return _number(_blake2b(text.encode()).digest())


def kept_hashes(path: Path, count: int, make: Callable[[], Hashes]) -> Hashes:
    """(count,) hashes out of a file; made and kept there, if that can be written, where it does not hold so many."""
    with suppress(OSError, ValueError, EOFError):
        found: Hashes = np.load(path, allow_pickle=False)
        if found.shape == (count,) and found.dtype == np.uint64:
            return found
    hashes = make()
    keep_hashes(path, hashes)
    return hashes


def keep_hashes(path: Path, hashes: Hashes) -> None:
    """Writes hashes to a file; does without where it cannot be written."""
    with suppress(OSError), whole_file(path) as file:
        np.save(file, hashes)


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "little")
