import io
import os
import resource
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, PngImagePlugin
from PIL import Image as Pillow

from fkd.errors import UserError
from fkd.io import images


@pytest.fixture
def image() -> np.ndarray:
    """(40, 30, 3) RGB, smooth so that lossy formats keep it, and unlike its mirror images and turns."""
    y, x = np.mgrid[:40, :30]
    return np.stack([6 * y, 8 * x, 255 - 3 * x - 3 * y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".bmp", 0), (".tiff", 0), (".webp", 10), (".jpg", 10)])
@pytest.mark.parametrize("name", ["image.jpg", "no suffix", "Žižek 顔.png"])
def test_reads_colours_whatever_the_name_says(tmp_path: Path, image, suffix, tolerance, name):
    path = tmp_path / name
    Pillow.fromarray(image).save(path, {".jpg": "JPEG", ".tiff": "TIFF"}.get(suffix, suffix[1:].upper()), quality=100)
    found = images.read(path, 3)
    assert found.dtype == np.uint8
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).max() <= tolerance
    assert np.array_equal(images.read(str(path), 3), found)


def test_grey_is_the_luma(tmp_path: Path, image):
    Pillow.fromarray(image).save(tmp_path / "a.png")
    found = images.read(tmp_path / "a.png", 1)
    assert found.shape == (40, 30)
    assert np.abs(found - image @ [0.299, 0.587, 0.114]).max() <= 1


def test_grey_of_a_jpeg_is_the_grey_of_its_colours(tmp_path: Path, image):
    Pillow.fromarray(image).save(tmp_path / "a.jpg", quality=60)
    colours = images.read(tmp_path / "a.jpg", 3)
    assert np.array_equal(images.read(tmp_path / "a.jpg", 1), cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


def test_alpha_is_dropped_not_blended(tmp_path: Path, image):
    alpha = np.zeros((40, 30, 1), np.uint8)
    Pillow.fromarray(np.concatenate([image, alpha], axis=-1)).save(tmp_path / "a.jpg", "PNG")
    assert np.array_equal(images.read(tmp_path / "a.jpg", 3), image)


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA"])
def test_other_kinds_of_pixels_become_rgb(tmp_path: Path, image, mode):
    made = Pillow.fromarray(image).convert(mode)
    made.save(tmp_path / "a.png")
    assert np.array_equal(images.read(tmp_path / "a.png", 3), np.asarray(made.convert("RGB")))


def test_16_bits_become_8(tmp_path: Path):
    deep = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    found = images.read(tmp_path / "a.png", 1)
    assert (found.min(), found.max()) == (0, 255)
    assert np.abs(found - deep / 257).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_the_note_on_how_the_camera_was_held_is_obeyed(tmp_path: Path, image, turn, kind):
    """Against the definition in the EXIF standard: where row 0 and column 0 of the file are in the upright image."""
    turned = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: image.transpose(1, 0, 2)[:, ::-1],
        7: image.transpose(1, 0, 2)[::-1, ::-1],
        8: image.transpose(1, 0, 2)[::-1],
    }
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = turn
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    Pillow.fromarray(image).save(tmp_path / "a", kind, exif=exif, **options)
    found = images.read(tmp_path / "a", 3)
    assert found.shape == turned[turn].shape
    assert np.abs(found.astype(int) - turned[turn]).max() <= (4 if kind == "JPEG" else 0)


def test_a_broken_note_is_no_reason_to_refuse_the_image(tmp_path: Path, image):
    Pillow.fromarray(image).save(tmp_path / "a.png", exif=b"Exif\0\0not what it says")
    assert np.array_equal(images.read(tmp_path / "a.png", 3), image)


def close(found: np.ndarray, image: np.ndarray, tolerance: float) -> bool:
    return found.shape == image.shape and bool(np.abs(found.astype(int) - image).max() <= tolerance)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_colours_become_8(tmp_path: Path, image, kind):
    deep = cv2.imencode(f".{kind.lower()}", image[..., ::-1].astype(np.uint16) * 257)[1]
    (tmp_path / "a").write_bytes(deep.tobytes())
    assert close(images.read(tmp_path / "a", 3), image, 0)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(tmp_path: Path, image, kind):
    inks = np.asarray(Pillow.fromarray(image).convert("CMYK")) // 2 + 40  # all four are used
    Pillow.fromarray(inks, mode="CMYK").save(tmp_path / "a", kind, **({"quality": 100} if kind == "JPEG" else {}))
    paper = 255 - inks.astype(float)
    assert close(images.read(tmp_path / "a", 3), np.rint(paper[..., :3] * paper[..., 3:] / 255), 6)
    if kind == "JPEG":
        other_decoder = cv2.imread(str(tmp_path / "a"))
        assert close(images.read(tmp_path / "a", 3), other_decoder[..., ::-1], 3)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_of_an_animation_or_many_pages_the_first_is_read(tmp_path: Path, image, kind):
    first = Pillow.fromarray(image).quantize(64)
    others = [Pillow.fromarray(image[::-1]).quantize(64), Pillow.fromarray(image[:, ::-1]).quantize(64)]
    options = {"lossless": True} if kind == "WEBP" else {}
    first.save(tmp_path / "a", kind, save_all=True, append_images=others, **options)
    assert close(images.read(tmp_path / "a", 3), np.asarray(first.convert("RGB")), 0)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}])
def test_a_tiff_in_strips_is_read(tmp_path: Path, options):
    image = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    Pillow.fromarray(image).save(tmp_path / "a", "TIFF", strip_size=5000, **options)
    assert close(images.read(tmp_path / "a", 3), image, 0)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_white_are_refused(tmp_path: Path, image, mode):
    Pillow.fromarray(image).convert(mode).save(tmp_path / "a.tiff")
    with pytest.raises(UserError) as error:
        images.read(tmp_path / "a.tiff", 3)
    one_line(error, tmp_path / "a.tiff", "16 bits")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_pixel_is_a_image(tmp_path: Path, kind, channels):
    Pillow.new("RGB", (1, 1), (90, 90, 90)).save(tmp_path / "a", kind)
    found = images.read(tmp_path / "a", channels)
    assert close(found, np.array([90, 90, 90, 255], np.uint8)[: found.size].reshape(found.shape), 2)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_every_row_of_a_large_image_is_read(tmp_path: Path, kind):
    large = np.random.default_rng(0).integers(0, 256, (901, 701, 3), np.uint8)
    Pillow.fromarray(large).save(tmp_path / "a", kind, **({"compress_level": 0} if kind == "PNG" else {}))
    assert np.array_equal(images.read(tmp_path / "a", 3), large)
    assert np.array_equal(images.read(tmp_path / "a", 1), cv2.cvtColor(large, cv2.COLOR_RGB2GRAY))
    assert np.array_equal(images.read(tmp_path / "a", 4)[..., :3], large)


def test_straight_alpha_is_kept(tmp_path: Path, image):
    rgba = np.dstack([image, (8 * np.arange(30, dtype=np.uint8))[None].repeat(40, 0)])
    Pillow.fromarray(rgba).save(tmp_path / "a.png")
    assert np.array_equal(images.read(tmp_path / "a.png", 4), rgba)
    Pillow.fromarray(rgba).convert("LA").save(tmp_path / "a.png")
    found = images.read(tmp_path / "a.png", 4)
    assert np.array_equal(found[..., 3], rgba[..., 3])
    assert np.array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
@pytest.mark.parametrize("mode", ["P", "L"])
def test_one_transparent_colour_is_alpha_zero(tmp_path: Path, image, kind, mode):
    indexed = Pillow.fromarray(image).quantize(16) if mode == "P" else Pillow.fromarray(image[..., 0])
    hidden = np.asarray(indexed) == 6
    assert 0 < hidden.mean() < 1
    indexed.save(tmp_path / "a", kind, transparency=6)
    found = images.read(tmp_path / "a", 4)
    assert np.array_equal(found[..., 3], np.where(hidden, 0, 255))
    assert np.array_equal(found[~hidden, :3], np.asarray(indexed.convert("RGB"))[~hidden])
    assert np.array_equal(images.read(tmp_path / "a", 3)[~hidden], found[~hidden, :3])


def test_half_transparent_palette(tmp_path: Path, image):
    indexed = Pillow.fromarray(image).quantize(16)
    alphas = np.arange(0, 256, 16, dtype=np.uint8)
    indexed.save(tmp_path / "a.png", transparency=alphas.tobytes())
    assert np.array_equal(images.read(tmp_path / "a.png", 4)[..., 3], alphas[np.asarray(indexed)])


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *[(kind, mode) for kind in ("JPEG", "BMP", "PNG", "WEBP", "TIFF") for mode in ("RGB", "L")],
        *[("JPEG", "CMYK"), ("TIFF", "CMYK"), ("PNG", "I;16"), ("TIFF", "I;16")],
    ],
)
def test_without_alpha_all_is_opaque(tmp_path: Path, image, kind, mode):
    deep = Pillow.fromarray(image[..., 0].astype(np.uint16) * 257)
    made = deep if mode == "I;16" else Pillow.fromarray(image).convert(mode)
    made.save(tmp_path / "a", kind)
    found = images.read(tmp_path / "a", 4)
    assert (found[..., 3] == 255).all()
    assert np.array_equal(found[..., :3], images.read(tmp_path / "a", 3))


def test_what_is_read_can_be_drawn_on(tmp_path: Path, image):
    Pillow.fromarray(image).save(tmp_path / "a.png")
    for channels in (1, 3, 4):
        found = images.read(tmp_path / "a.png", channels)
        assert found.flags.writeable
        assert found.flags.c_contiguous
        assert found.base is None or found.base.base is None  # no view of something larger


def patched(data: bytes, at: int, format: str, *numbers: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(format, changed, at, *numbers)
    return bytes(changed)


def claims(width: int, height: int) -> dict[str, bytes]:
    """Small files whose headers claim a large image."""

    def saved(kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        Pillow.new("RGB", (8, 8)).save(file, kind, **options)
        return file.getvalue()

    jpeg, png, tiff = saved("JPEG"), saved("PNG"), saved("TIFF")
    progressive = saved("JPEG", progressive=True)
    png = patched(png, 16, ">II", width, height)
    tags = {struct.unpack_from("<H", tiff, at)[0]: at for at in range(10, 10 + 12 * tiff[8], 12)}
    assert tiff[4:8] == struct.pack("<I", 8)
    return {
        "jpeg": patched(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH", height, width),
        "progressive jpeg": patched(progressive, progressive.index(b"\xff\xc2") + 5, ">HH", height, width),
        "png": patched(png, 29, ">I", zlib.crc32(png[12:29])),
        "bmp": patched(saved("BMP"), 18, "<ii", width, height),
        "gif": patched(saved("GIF"), 6, "<HH", width, height),
        "tiff": patched(patched(tiff, tags[256] + 8, "<I", width), tags[257] + 8, "<I", height),
    }


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "bmp", "gif", "tiff"])
def test_a_huge_image_is_refused_before_memory_is_spent(tmp_path: Path, kind):
    path = tmp_path / "big.png"
    path.write_bytes(claims(20_000, 20_000)[kind])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as error:
        images.read(path, 3)
    expected = "expected at most 100,000,000 pixels, found 20,000 x 20,000; raise max_pixels or scale the image down"
    assert str(error.value) == f"{path}: {expected}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # in KiB; its pixels need 1.6 GB


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_canvas_or_frame_of_an_animation_is_refused(tmp_path: Path):
    webp, gif = io.BytesIO(), io.BytesIO()
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    frames[0].save(webp, "WEBP", save_all=True, append_images=frames[1:])
    frames[0].save(gif, "GIF")
    canvas = webp.getvalue().index(b"VP8X") + 12
    frame = gif.getvalue().index(b"\x2c\0\0\0\0\x08\0\x08\0") + 5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data, found in [
        (patched(webp.getvalue(), canvas, "<IH", 11_999 | 11_999 << 24 & 0xFFFFFFFF, 11_999 >> 8), "12,000 x 12,000"),
        (patched(webp.getvalue(), canvas, "<IH", 16_382 | 16_382 << 24 & 0xFFFFFFFF, 16_382 >> 8), "pixels"),
        (patched(gif.getvalue(), frame, "<HH", 11_000, 11_000), "11,000 x 11,000"),
        (patched(gif.getvalue(), frame, "<HH", 60_000, 60_000), "3600000000 pixels"),
    ]:
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(UserError) as error:
            images.read(tmp_path / "a", 3)
        one_line(error, tmp_path / "a", found, "scale the image down")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_the_limit_is_the_callers(tmp_path: Path, image):
    Pillow.fromarray(image).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png", 3, max_pixels=1200).shape == (40, 30, 3)
    with pytest.raises(UserError, match="at most 1,199 pixels, found 30 x 40"):
        images.read(tmp_path / "a.png", 3, max_pixels=1199)


def test_no_memory_is_said_to_be_that(tmp_path: Path, image, monkeypatch):
    def load(self: object) -> None:
        raise MemoryError

    Pillow.fromarray(image).save(tmp_path / "a.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(UserError) as error:
        images.read(tmp_path / "a.png", 3)
    one_line(error, tmp_path / "a.png", "does not fit into memory")


@pytest.mark.parametrize("kind", ["pipe", "device", "link", "loop", "long name", "impossible name", "under a file"])
def test_what_is_no_file_neither_hangs_nor_confuses(tmp_path: Path, kind):
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
        if not path.exists() or not stat.S_ISCHR(path.stat().st_mode):
            pytest.skip("no such device on this system")
    elif kind == "link":
        path.symlink_to(tmp_path / "gone.png")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "long name":
        path = tmp_path / ("a" * 300)
    elif kind == "impossible name":
        path = tmp_path / "a\0b"
    else:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "a.png"
    expected = {"pipe": "a pipe", "device": "a device", "link": "link to nothing"}.get(kind, "found")
    with pytest.raises(UserError) as error:
        images.read(path, 3)
    one_line(error, path, expected)


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path, image):
    path = tmp_path / "a.png"
    images.write(path, image)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UserError) as error:
        images.read(path, 3)
    one_line(error, path, "Permission denied")


def test_odd_metadata_is_read_in_silence(tmp_path: Path, image):
    """By a script: of a profile that libraries complain about and a tag that promises more than the file has."""
    Pillow.fromarray(image).save(tmp_path / "a.png", icc_profile=b"not a profile")
    Pillow.fromarray(image).save(tmp_path / "a.tiff", tiffinfo={65000: "a" * 40})
    tiff = (tmp_path / "a.tiff").read_bytes()
    length = tiff.index(struct.pack("<HHI", 65000, 2, 41)) + 4
    (tmp_path / "a.tiff").write_bytes(patched(tiff, length, "<I", 1_000_000))
    imports = "import sys; from fkd.cli.command import quieten; from fkd.io import images"
    code = f"{imports}; quieten(); [images.read(name, 3) for name in sys.argv[1:]]"
    process = subprocess.run(
        [sys.executable, "-W", "default", "-c", code, tmp_path / "a.png", tmp_path / "a.tiff"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stderr) == (0, "")


def one_line(error: pytest.ExceptionInfo[UserError], *parts: object) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def test_missing_folder_empty_and_no_image_are_told_apart(tmp_path: Path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a letter, not an image")
    for name, found in [
        ("missing.jpg", "no such file"),
        ("", "a folder"),
        ("empty.jpg", "empty"),
        ("text.jpg", "something else"),
    ]:
        with pytest.raises(UserError) as error:
            images.read(tmp_path / name, 3)
        one_line(error, tmp_path / name, found)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_image_is_an_error(tmp_path: Path, image, suffix, share):
    whole = cv2.imencode(suffix, cv2.resize(image, (300, 400)))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError) as error:
        images.read(path, 3)
    one_line(error, path, "cut off")


def test_a_cut_jpeg_is_not_saved_by_its_thumbnails_end(tmp_path: Path, image):
    thumbnail = cv2.imencode(".jpg", image)[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = cv2.imencode(".jpg", cv2.resize(image, (300, 400)))[1].tobytes()
    whole = whole[:2] + segment + whole[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(whole + b"what some cameras add")
    assert images.read(path, 3).shape == (400, 300, 3)
    path.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="cut off"):
        images.read(path, 3)


def test_a_progressive_jpeg_is_whole_only_with_its_last_scan(tmp_path: Path, image):
    path = tmp_path / "a.jpg"
    Pillow.fromarray(cv2.resize(image, (300, 400))).save(path, progressive=True)
    assert images.read(path, 3).shape == (400, 300, 3)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="cut off"):
        images.read(path, 3)


def test_a_damaged_png_is_an_error(tmp_path: Path):
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"not deflated") + chunk(b"IEND", b""))
    with pytest.raises(UserError) as error:
        images.read(path, 3)
    one_line(error, path, "damaged")


def test_channels_are_one_three_or_four(tmp_path: Path):
    with pytest.raises(UserError, match="channels=2"):
        images.read(tmp_path / "a.png", 2)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".jpg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_written_is_read_back(tmp_path: Path, image, suffix, channels):
    image = image if channels == 3 else image[..., 0]
    path = tmp_path / f"é{suffix}"
    images.write(path, image)
    found = images.read(path, channels)
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).max() <= (8 if suffix == ".jpg" else 0)
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".PNG"])
def test_written_alpha_is_read_back(tmp_path: Path, image, suffix):
    rgba = np.dstack([image, (8 * np.arange(1, 31, dtype=np.uint8))[None].repeat(40, 0)])
    images.write(tmp_path / f"a{suffix}", rgba)
    assert np.array_equal(images.read(tmp_path / f"a{suffix}", 4), rgba)
    assert np.array_equal(images.read(tmp_path / f"a{suffix}", 3), image)


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp", "a.txt", "a"])
def test_alpha_is_not_lost_in_silence(tmp_path: Path, image, name):
    with pytest.raises(UserError) as error:
        images.write(tmp_path / name, np.dstack([image, image[..., 0]]))
    one_line(error, tmp_path / name, ".png or .webp")
    assert not [*tmp_path.iterdir()]


def test_a_image_that_cannot_be_written_is_an_error(tmp_path: Path, image):
    (tmp_path / "file").touch()
    for path in (
        tmp_path / "a.txt",
        tmp_path / "a.\udcff",
        tmp_path / "a",
        tmp_path / "no folder" / "a.png",
        tmp_path / "file" / "a.png",
    ):
        with pytest.raises(UserError) as error:
            images.write(path, image)
        one_line(error, path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_image_is_the_programs_mistake(tmp_path: Path, image):
    for wrong in (image / 255, image[..., :2]):
        with pytest.raises(ValueError, match="expected uint8") as error:
            images.write(tmp_path / "a.png", wrong)
        assert not isinstance(error.value, UserError)


def test_a_full_disk_leaves_the_old_image(tmp_path: Path, image):
    path = tmp_path / "a.bmp"
    images.write(path, image)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError) as error:
            images.write(path, image[::-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_line(error, path)
    assert np.array_equal(images.read(path, 3), image)
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", ["wide.jpg", "wide.webp"])
def test_a_image_too_wide_for_its_kind_is_one_clean_error(tmp_path, name):
    with pytest.raises(UserError, match=rf"{name}: cannot write images of 70000 x 1 pixels"):
        images.write(tmp_path / name, np.zeros((1, 70_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_importing_it_leaves_the_warnings_of_the_process_alone() -> None:
    code = (
        "import warnings, PIL, cv2, numpy; b = [*warnings.filters]; import fkd.io.images; print(b == warnings.filters)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"


def test_a_header_tells_the_pixels_and_a_file_without_one_none(tmp_path: Path, image):
    images.write(tmp_path / "a.png", image)
    (tmp_path / "b.png").write_bytes(b"no image")
    os.mkfifo(tmp_path / "pipe.png")
    found = {name: images.pixel_count(tmp_path / name) for name in ("a.png", "b.png", "pipe.png", "none.png")}
    assert found == {"a.png": 1200, "b.png": 0, "pipe.png": 0, "none.png": 0}


def test_reading_ahead_keeps_the_order_and_holds_few_pixels_or_one_image():
    sizes = np.random.default_rng(0).choice([1, 10**6, 6 * 10**7, 10**9], 200).tolist()
    taken, started = 0, []

    def read(item):
        started.append(item)
        return item

    for item in images.read_ahead(read, range(200), sizes.__getitem__, 4):
        held = sizes[taken : max(started) + 1]
        assert len(held) <= 8
        assert len(held) == 1 or sum(held) <= images.MAX_PIXELS
        assert item == taken
        taken += 1
    assert taken == 200
