"""Pictures from files and into files."""

from pathlib import Path

import cv2
import numpy as np

from fkd.errors import UserError
from fkd.files import whole_file
from fkd.types import Image

_JPEG, _PNG, _BMP, _RIFF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
_PNG_END = b"IEND\xae\x42\x60\x82"  # the last chunk's name and checksum, the same in every file


def read(path: Path | str, channels: int) -> Image:
    """The picture in a file, upright, whatever its name ends with (JPEG, PNG, BMP, WebP, TIFF, GIF).

    Alpha is dropped, 16 bits become 8, palettes become colours, and the camera's note on how it was held (EXIF) is
    obeyed. Grey is OpenCV's luma, 0.299 R + 0.587 G + 0.114 B, and so the same from a JPEG as from a PNG.

    Args:
        path: the file.
        channels: 1 for grey (H, W), 3 for RGB (H, W, 3).

    Raises:
        UserError: the file is missing, a folder, unreadable, empty, cut off, damaged or not a picture.
    """
    if channels not in (1, 3):
        raise UserError(f"channels={channels}: expected 1 (grey) or 3 (RGB)")
    data = _bytes_of(Path(path))
    if not _is_complete(data):
        raise UserError(f"{path}: the picture is cut off after {len(data)} bytes; copy or download the file again")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # e.g. more pixels than OpenCV accepts
        raise UserError(f"{path}: expected a picture, found one that cannot be decoded ({error.err})") from error
    if picture is None and data.startswith((_JPEG, _PNG)):
        raise UserError(f"{path}: the picture is damaged; copy or download the file again")
    if picture is None:
        raise UserError(f"{path}: expected a picture (JPEG, PNG, BMP, WebP, TIFF or GIF), found something else")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def write(path: Path | str, image: Image) -> None:
    """Write (H, W) grey or (H, W, 3) RGB pixels as the kind of file that the name's suffix says.

    The file appears under its name only when it is complete; one that was there before stays until then.

    Raises:
        UserError: the suffix belongs to no kind of picture, or the place cannot be written.
    """
    path = Path(path)
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"image: expected uint8 (H, W) or (H, W, 3), found {image.dtype} {image.shape}")
    try:
        _, data = cv2.imencode(path.suffix, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise UserError(
            f"{path}: cannot write pictures of {image.shape[1]} x {image.shape[0]} pixels as {path.suffix!r};"
            " use a name that ends with .png or .jpg"
        ) from error
    try:
        with whole_file(path) as file:
            file.write(data.tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot write the picture ({error.strerror}); choose another place") from error


def _bytes_of(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: expected a picture, found no such file") from error
    except OSError as error:
        found = "a folder" if path.is_dir() else f"a file that cannot be read ({error.strerror})"
        raise UserError(f"{path}: expected a picture, found {found}") from error
    if not data:
        raise UserError(f"{path}: the file is empty (0 bytes); copy or download it again")
    return data


def _is_complete(data: bytes) -> bool:
    """Whether a picture's end is there. Decoders may fill what is missing with grey and only warn."""
    if data.startswith(_JPEG):
        return data.find(_END_OF_IMAGE, _first_scan(data)) >= 0
    if data.startswith(_PNG):
        return data.rfind(_PNG_END) >= 0
    if data.startswith(_BMP) and data[6:10] == bytes(4):  # reserved, zero: more than two letters to know it by
        return len(data) >= int.from_bytes(data[2:6], "little")
    if data.startswith(_RIFF) and data[8:12] == b"WEBP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True


def _first_scan(data: bytes) -> int:
    """Where a JPEG's pixels start: the segments before may hold a thumbnail, which has an end marker of its own."""
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1 : position + 2] != bytes([_START_OF_SCAN]):
        is_filler = data[position + 1 : position + 2] == b"\xff"
        position += 1 if is_filler else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position
