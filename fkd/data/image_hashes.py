"""Hashes of images: by all pixels for comparisons in a run, of 8 bytes to recognise an image under any name."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np

from fkd.io.images import in_channels
from fkd.types import Image

_blake2b = partial(hashlib.blake2b, digest_size=8)  # in a million images two share a hash with probability 3e-8


def digest(image: Image) -> bytes:
    """The digest of an image's shape, (H, W) or (H, W, 3), and pixels."""
    pixels = np.ascontiguousarray(image)
    hashed = hashlib.blake2b(repr(pixels.shape).encode())
    hashed.update(pixels.data)
    return hashed.digest()


def file_hash(path: Path) -> int:
    """The hash of an image file's bytes, the same on every machine; 0 if the file is missing."""
    try:
        with path.open("rb") as file:
            return _number(hashlib.file_digest(file, _blake2b).digest())
    except OSError:
        return 0


def pixel_hash(image: Image) -> int:
    """The hash of an image without a file of its own, the same for grey and RGB; 0 if it has no pixels."""
    return _number(digest(in_channels(image, 1))[:8]) if image.size else 0


def text_hash(text: str) -> int:
    """The hash of a generated image, from a text that describes how it was made."""
    return _number(_blake2b(text.encode()).digest())


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "little")
