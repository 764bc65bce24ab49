"""Damaged image files: each gives a valid image or one clean error, in silence and within its memory.

`python -m tests.fuzz.test_image_files 5000 1` runs 5,000 from seed 1 by hand and says what came of each kind of file.
"""

import collections
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow

from fkd.detect import WholeImage
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter, Window
from fkd.inference.metadata import Metadata
from fkd.inference.predictor import Predictor
from fkd.io import images
from fkd.schema import IBUG68
from tests.fuzz.mutation import DAMAGE

MAX_PIXELS = 1_000_000
PNG_START = b"\x89PNG\r\n\x1a\n"


def saved(image: Pillow.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def whole_files() -> dict[str, bytes]:
    """Small valid files of every kind that is read, by name."""
    y, x = np.mgrid[:20, :24]
    rgb = Pillow.fromarray(np.stack([12 * y, 10 * x, 255 - 5 * x - 5 * y], axis=-1).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(Pillow.fromarray((10 * x).astype(np.uint8)))
    palette, animation = rgb.quantize(16), [rgb.quantize(8), rgb.rotate(180).quantize(8), rgb.quantize(4)]
    exif = Pillow.Exif()
    exif[274], exif[271] = 6, "camera"
    deep = Pillow.fromarray((2700 * x).astype(np.uint16))
    deep_rgb = cv2.imencode(".png", np.stack([2700 * x, 3000 * y, 100 * x * y], axis=-1).astype(np.uint16))[1].tobytes()
    return {
        "jpeg": saved(rgb, "JPEG", exif=exif),
        "jpeg progressive": saved(rgb, "JPEG", progressive=True),
        "jpeg grey": saved(rgb.convert("L"), "JPEG"),
        "jpeg CMYK": saved(rgb.convert("CMYK"), "JPEG"),
        "png": saved(rgb, "PNG", exif=exif),
        "png alpha": saved(rgba, "PNG"),
        "png grey alpha": saved(rgba.convert("LA"), "PNG"),
        "png palette": saved(palette, "PNG", transparency=3),
        "png 1 bit": saved(rgb.convert("1"), "PNG"),
        "png 16 bit": saved(deep, "PNG"),
        "png 16 bit RGB": deep_rgb,
        "apng": saved(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90), rgba.convert("RGB")]),
        "gif": saved(palette, "GIF"),
        "gif animated": saved(
            animation[0], "GIF", save_all=True, append_images=animation[1:], transparency=2, disposal=2
        ),
        "webp": saved(rgb, "WEBP", exif=exif),
        "webp lossless": saved(rgba, "WEBP", lossless=True),
        "webp animated": saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)]),
        "bmp": saved(rgb, "BMP"),
        "bmp palette": saved(palette, "BMP"),
        "bmp 1 bit": saved(rgb.convert("1"), "BMP"),
        "bmp alpha": saved(rgba, "BMP"),
        "tiff": saved(rgb, "TIFF"),
        "tiff 16 bit": saved(deep, "TIFF"),
        "tiff float": saved(rgb.convert("F"), "TIFF"),
        "tiff CMYK": saved(rgb.convert("CMYK"), "TIFF"),
        "tiff pages": saved(rgb, "TIFF", save_all=True, append_images=[rgba]),
        "tiff turned": saved(rgb, "TIFF", exif=exif),
        "tiff lzw": saved(rgb, "TIFF", compression="tiff_lzw"),
        "tiff deflate": saved(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": saved(rgb, "TIFF", compression="jpeg"),
        "tiff group 4": saved(rgb.convert("1"), "TIFF", compression="group4"),
    }


def mutants(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files with the names of what they were, each kind as often as the others."""
    chance, names = random.Random(seed), list(files)
    for i in range(count):
        name = names[i % len(names)]
        data = bytearray(files[name])
        if chance.random() < 0.1:  # the start of one kind with the end of another
            other = files[chance.choice(names)]
            data = data[: chance.randrange(4, len(data))] + other[chance.randrange(len(other)) :]
        for _ in range(chance.choice([1, 1, 2, 4])):
            if len(data) > 1:  # headers are small and matter most
                at = chance.randrange(min(len(data), chance.choice([40, 150, len(data)])))
                at = max(at, min(chance.choice([0, 8, 8, 8]), len(data) - 1))  # what it claims to be mostly stays
                chance.choice(DAMAGE)(data, at, chance)
        repaired = bytes(data).startswith(PNG_START) and chance.random() < 0.7
        yield name, png_with_right_checksums(bytes(data)) if repaired else bytes(data)


def png_with_right_checksums(data: bytes) -> bytes:
    """Without this nearly every damaged PNG would end at its first checksum, and nothing behind it would be tried."""
    found, at = PNG_START, len(PNG_START)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        found += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return found


def run(count: int, seed: int) -> dict[str, Any]:
    """Reads `count` damaged files: what came of each kind, and the memory and time that were spent.

    If standard error goes to a file, "noise" is the bytes each kind added to it, by Python or by a C library.
    """
    outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    noise: collections.Counter[str] = collections.Counter()
    slowest, faults, said = 0.0, [], os.fstat(2).st_size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        files = whole_files()
        for data in files.values():
            path.write_bytes(data)
            try_one(path, 4)  # so that what is loaded once is not counted
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i, (name, data) in enumerate(mutants(files, count, seed)):
            path.write_bytes(data)
            start = time.thread_time()
            try:
                outcome = try_one(path, (1, 3, 4)[i % 3])
            except Exception as error:
                outcome = "fault"
                faults.append(f"{name}, number {i}: {error!r}")
            slowest = max(slowest, time.thread_time() - start)
            outcomes[name][outcome] += 1
            if (says := os.fstat(2).st_size) > said:
                noise[name] += says - said
                said = says
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"outcomes": outcomes, "faults": faults, "noise": noise, "megabytes": memory, "slowest": slowest}


class Middle:
    """A net that puts all points into the middle of the crop."""

    metadata = Metadata("middle", IBUG68, 32, 1, Window(1.0, 0.0), None, {})

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        return np.full((len(crops), 68, 2), 15.5, np.float32)


PREDICTOR = Predictor(
    Middle(), WholeImage(Correction(0.5, 0.0, 0.0), Jitter(0.1, 0.1, 0.1), None), flip=True, max_pixels=MAX_PIXELS
)


def try_one(path: Path, channels: int) -> str:
    """What came of one file: "image" or the kind of error; anything not allowed raises."""
    try:
        found = images.read(path, channels, max_pixels=MAX_PIXELS)
    except UserError as error:
        message = str(error)
        assert message.startswith(f"{path}: "), message
        assert message.isprintable(), message
        assert len(message) < 400, message
        return next((kind for kind in ("damaged", "at most", "something else") if kind in message), "other")
    assert len(PREDICTOR(path)) == 1  # the whole way: a window on the image, whatever its size
    assert found.dtype == np.uint8
    assert found.shape[2:] == {1: (), 3: (3,), 4: (4,)}[channels]
    assert 0 < found.shape[0] * found.shape[1] <= MAX_PIXELS
    found[0, 0] = 0  # belongs to the caller
    return "image"


def test_damaged_files_give_a_image_or_one_clean_error(tmp_path: Path):
    """In a process of its own, whose memory and standard error, C libraries' included, are seen whole."""
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.run(
            [sys.executable, __file__, "620", "0"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=120,
        )
    assert process.returncode == 0, (tmp_path / "stderr").read_text()
    report = json.loads(process.stdout)
    assert report["faults"] == []
    assert report["megabytes"] < 200  # what Pillow itself allows a frame of a GIF before our limit is asked
    assert report["slowest"] < 2
    counts = [collections.Counter(outcome) for outcome in report["outcomes"].values()]
    assert all(count["damaged"] for count in counts)  # the damage was real,
    assert sum(count["image"] for count in counts) > 60  # and not always fatal
    assert all(name.startswith("tiff") for name in report["noise"])  # libtiff cannot be told to be silent


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2])), indent=1))
