"""Reading and writing image files."""

import base64
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import cv2
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL import Image as Pillow
from PIL import WebPImagePlugin as WebpImagePlugin
from PIL.ImageFile import ImageFile

from fkd.errors import UserError, printable
from fkd.io.atomic import whole_file
from fkd.io.regular import regular_file
from fkd.types import Image

SUFFIXES = frozenset((".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""Suffixes of the files in a folder that are taken as images."""

MAX_PIXELS = 100_000_000
"""Largest image that is read by default. Reading takes up to 12 bytes a pixel."""

# Called directly, because `PIL.Image.open` applies Pillow's own, process-wide limit before ours.
_KINDS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    (rb"(?s:RIFF....WEBP)", WebpImagePlugin.WebPImageFile),
    (rb"II[*+]\0|MM\0[*+]", TiffImagePlugin.TiffImageFile),
    (rb"BM", BmpImagePlugin.BmpImageFile),
)
"""Regular expression for the start of a file, and Pillow's reader."""

QUALITY = 85
"""Of JPEGs on pages and of kept crops."""

_BAND = 1 << 18  # pixels

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def read(path: Path | str, channels: int, *, max_pixels: int = MAX_PIXELS) -> Image:
    """The upright image in a file (JPEG, PNG, BMP, WebP, TIFF or GIF, whatever its suffix).

    Of an animation or of several pages the first is read. 16 bits become 8, palettes and CMYK become RGB, and the EXIF
    orientation is applied in every format that can have one. Colour profiles are not applied. Grey is OpenCV's luma,
    0.299 R + 0.587 G + 0.114 B, so that it is the same from a JPEG as from a PNG.

    Args:
        path: the file.
        channels: 1 for grey (H, W), 3 for RGB (H, W, 3) with alpha dropped, 4 for RGBA (H, W, 4) with straight alpha,
            255 (opaque) if the file has none.
        max_pixels: larger images are refused after reading only the header.

    Raises:
        UserError: the file is missing, not a regular file, unreadable, empty, cut off, damaged, too large or no image.
    """
    if channels not in (1, 3, 4):
        raise UserError(f"channels={channels}: expected 1 (grey), 3 (RGB) or 4 (RGBA)")
    path = Path(path)
    with regular_file(path, "an image") as file:
        kind = _kind(path, file)
        try:
            image = kind(file)  # reads the header
            _check(path, image, max_pixels)
            return _decoded(image, channels)
        except UserError:
            raise
        except Pillow.DecompressionBombError as error:
            raise UserError(f"{path}: expected fewer pixels, found: {error}; scale the image down") from error
        except MemoryError as error:
            raise UserError(f"{path}: the image does not fit into memory; scale it down") from error
        except Exception as error:  # decoders can fail in any way on an untrusted file
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}: the image is cut off, damaged or of a rare kind ({reason});"
                " copy or download the file again, or save it as PNG"
            ) from error


def pixel_count(path: Path | str) -> int:
    """Pixels that the header of an image file claims; 0 if it has none, of which `read` gives the reason."""
    try:
        with regular_file(path, "an image") as file:
            image = _kind(Path(path), file)(file)
            return image.width * image.height
    except Exception:  # as in `read`
        return 0


def read_ahead(
    read: Callable[[_Item], _Result], items: Iterable[_Item], pixels: Callable[[_Item], int], threads: int
) -> Generator[_Result]:
    """``read(item)`` of all items in order, by threads that stay a few items ahead.

    Those that are in work or wait to be taken have at most `MAX_PIXELS` together, by ``pixels(item)``, or are only one:
    memory depends neither on their number nor on what files claim to hold.
    """
    waiting: deque[tuple[int, Future[_Result]]] = deque()
    held = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        try:
            for item in items:
                count = pixels(item)
                while waiting and (len(waiting) == 2 * threads or held + count > MAX_PIXELS):
                    held -= waiting[0][0]
                    yield waiting.popleft()[1].result()
                held += count
                waiting.append((count, pool.submit(read, item)))
                del item  # a frame of a video would stay until the next
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_channels(pixels: Image, channels: int) -> Image:
    """Grey (H, W) or RGB (H, W, 3) pixels as `read` gives them with 1 or 3 channels."""
    if channels == 1:
        return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
    return pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]


def write(path: Path | str, image: Image) -> None:
    """Atomic write of (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA pixels, in the format of the suffix.

    Raises:
        UserError: the suffix is of no image format, or of one without alpha for RGBA; or the file cannot be written.
    """
    path = Path(path)
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
        raise ValueError(f"image: expected uint8 (H, W), (H, W, 3) or (H, W, 4), found {image.dtype} {image.shape}")
    has_alpha = image.shape[2:] == (4,)
    if has_alpha and path.suffix.lower() not in (".png", ".webp"):
        raise UserError(f"{path}: cannot keep transparency as {path.suffix!r}; use a name that ends with .png or .webp")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA if has_alpha else cv2.COLOR_RGB2BGR)  # type: ignore[assignment]
    try:
        is_done, data = cv2.imencode(printable(path.suffix), image)  # OpenCV ends the process at no UTF-8
    except cv2.error:  # for some formats that cannot be written; for others is_done is False
        is_done, data = False, np.zeros(0, np.uint8)
    if not is_done:
        raise UserError(
            f"{path}: cannot write images of {image.shape[1]} x {image.shape[0]} pixels as {path.suffix!r};"
            " use a name that ends with .png or .jpg"
        )
    try:
        with whole_file(path) as file:
            file.write(data.tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot write the image ({error.strerror}); choose another place or name") from error


def jpeg(image: Image, quality: int) -> bytes:
    """The JPEG file of an image (H, W) grey or (H, W, 3) RGB.

    Args:
        quality: 1 to 100.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def data_uri(image: Image, quality: int) -> str:
    """The same as a data URI, for HTML pages."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(image, quality)).decode()}"


def _kind(path: Path, file: BinaryIO) -> type[ImageFile]:
    try:
        start = file.read(12)
    except OSError as error:
        raise UserError(f"{path}: expected an image, found a file that cannot be read ({error.strerror})") from error
    if not start:
        raise UserError(f"{path}: the file is empty (0 bytes); copy or download it again")
    file.seek(0)
    for pattern, kind in _KINDS:
        if re.match(pattern, start):
            return kind
    raise UserError(f"{path}: expected an image (JPEG, PNG, BMP, WebP, TIFF or GIF), found something else")


def _check(path: Path, image: ImageFile, max_pixels: int) -> None:
    """Refuses an image by its header, before memory is used."""
    if image.width * image.height > max_pixels:
        raise UserError(
            f"{path}: expected at most {max_pixels:,} pixels, found {image.width:,} x {image.height:,};"
            " raise max_pixels or scale the image down"
        )
    if image.mode in ("F", "I", "LAB"):
        raise UserError(
            f"{path}: expected grey, RGB, CMYK or palette pixels of up to 16 bits, found Pillow's mode"
            f" {image.mode!r}; save it as PNG"
        )


def _decoded(image: ImageFile, channels: int) -> Image:
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data of a good image
        pass
    width, height = image.size
    pixels = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    # In bands: converting a large image at once takes Pillow as long as decoding it, and more memory.
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = image if rows >= height else image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = _converted(band, channels)
    return pixels


def _converted(band: Pillow.Image, channels: int) -> Image:
    if band.mode.startswith("I;16"):  # Pillow would clip it instead of scaling
        band = Pillow.fromarray((np.asarray(band) >> 8).astype(np.uint8))
    if channels == 4 and band.has_transparency_data:
        return np.asarray(band.convert("RGBA"))
    colours = np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
    if channels == 3:
        return colours
    return cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY if channels == 1 else cv2.COLOR_RGB2RGBA)  # type: ignore[return-value]
