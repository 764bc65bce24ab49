"""Images as bytes: raw pixels, PNG or JPEG."""

import math

import cv2
import numpy as np

from fkd.types import Image

ENCODINGS = ("raw", "png", "jpeg")


def encode(image: Image, encoding: str, quality: int) -> tuple[str, bytes]:
    """Suffix and content of a file with this image.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        encoding: "raw" (binary PGM or PPM of Netpbm), "png" (smaller, and also lossless) or "jpeg".
        quality: of JPEG, from 1 to 100.
    """
    if encoding == "raw":
        suffix, magic = ("pgm", b"P5") if image.ndim == 2 else ("ppm", b"P6")
        return suffix, _header(magic, *image.shape[:2]) + image.tobytes()
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    suffix, options = ("png", []) if encoding == "png" else ("jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    _, data = cv2.imencode(f".{suffix}", pixels, options)
    return suffix, data.tobytes()


def decode(data: Image) -> Image:
    """The image in a file's bytes (N,): (H, W) or (H, W, 3) RGB, without a copy of raw pixels.

    Raises:
        ValueError: the bytes are damaged.
    """
    start = data[:32].tobytes()
    if start[:2] in (b"P5", b"P6"):
        width, height = map(int, start.split(maxsplit=3)[1:3])
        header, shape = _header(start[:2], height, width), (height, width) if start[:2] == b"P5" else (height, width, 3)
        if min(shape) < 1 or not start.startswith(header) or len(data) - len(header) != math.prod(shape):
            raise ValueError("pixels that do not fit their header")
        return data[len(header) :].reshape(shape)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # no bytes, or too many pixels for OpenCV
        pixels = None
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)):
        raise ValueError("no image")
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _header(magic: bytes, height: int, width: int) -> bytes:
    """The header of binary Netpbm files (pgm(5), ppm(5))."""
    return b"%s\n%d %d\n255\n" % (magic, width, height)
