import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pillow

from fkd import images
from fkd.errors import UserError


@pytest.fixture
def picture() -> np.ndarray:
    """(40, 30, 3) RGB, smooth so that lossy formats keep it, and unlike its mirror images and turns."""
    y, x = np.mgrid[:40, :30]
    return np.stack([6 * y, 8 * x, 255 - 3 * x - 3 * y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".bmp", 0), (".tiff", 0), (".webp", 10), (".jpg", 10)])
@pytest.mark.parametrize("name", ["picture.jpg", "no suffix", "Žižek 顔.png"])
def test_reads_colours_whatever_the_name_says(tmp_path: Path, picture, suffix, tolerance, name):
    path = tmp_path / name
    Pillow.fromarray(picture).save(path, {".jpg": "JPEG", ".tiff": "TIFF"}.get(suffix, suffix[1:].upper()), quality=100)
    found = images.read(path, 3)
    assert found.dtype == np.uint8
    assert found.shape == picture.shape
    assert np.abs(found.astype(int) - picture).max() <= tolerance
    assert np.array_equal(images.read(str(path), 3), found)


def test_grey_is_the_luma(tmp_path: Path, picture):
    Pillow.fromarray(picture).save(tmp_path / "a.png")
    found = images.read(tmp_path / "a.png", 1)
    assert found.shape == (40, 30)
    assert np.abs(found - picture @ [0.299, 0.587, 0.114]).max() <= 1


def test_grey_of_a_jpeg_is_the_grey_of_its_colours(tmp_path: Path, picture):
    Pillow.fromarray(picture).save(tmp_path / "a.jpg", quality=60)
    colours = images.read(tmp_path / "a.jpg", 3)
    assert np.array_equal(images.read(tmp_path / "a.jpg", 1), cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


def test_alpha_is_dropped_not_blended(tmp_path: Path, picture):
    alpha = np.zeros((40, 30, 1), np.uint8)
    Pillow.fromarray(np.concatenate([picture, alpha], axis=-1)).save(tmp_path / "a.jpg", "PNG")
    assert np.array_equal(images.read(tmp_path / "a.jpg", 3), picture)


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA"])
def test_other_kinds_of_pixels_become_rgb(tmp_path: Path, picture, mode):
    made = Pillow.fromarray(picture).convert(mode)
    made.save(tmp_path / "a.png")
    assert np.array_equal(images.read(tmp_path / "a.png", 3), np.asarray(made.convert("RGB")))


def test_16_bits_become_8(tmp_path: Path):
    deep = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    found = images.read(tmp_path / "a.png", 1)
    assert (found.min(), found.max()) == (0, 255)
    assert np.abs(found - deep / 257).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_note_on_how_the_camera_was_held_is_obeyed(tmp_path: Path, picture, turn):
    """Against the definition in the EXIF standard: where row 0 and column 0 of the file are in the upright picture."""
    turned = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: picture.transpose(1, 0, 2)[:, ::-1],
        7: picture.transpose(1, 0, 2)[::-1, ::-1],
        8: picture.transpose(1, 0, 2)[::-1],
    }
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = turn
    Pillow.fromarray(picture).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    found = images.read(tmp_path / "a.jpg", 3)
    assert found.shape == turned[turn].shape
    assert np.abs(found.astype(int) - turned[turn]).max() <= 4


def one_line(error: pytest.ExceptionInfo[UserError], *parts: object) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def test_missing_folder_empty_and_no_picture_are_told_apart(tmp_path: Path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a letter, not a picture")
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
def test_a_cut_picture_is_an_error(tmp_path: Path, picture, suffix, share):
    whole = cv2.imencode(suffix, cv2.resize(picture, (300, 400)))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError) as error:
        images.read(path, 3)
    one_line(error, path, "cut off")


def test_a_cut_jpeg_is_not_saved_by_its_thumbnails_end(tmp_path: Path, picture):
    thumbnail = cv2.imencode(".jpg", picture)[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = cv2.imencode(".jpg", cv2.resize(picture, (300, 400)))[1].tobytes()
    whole = whole[:2] + segment + whole[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(whole + b"what some cameras add")
    assert images.read(path, 3).shape == (400, 300, 3)
    path.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="cut off"):
        images.read(path, 3)


def test_a_progressive_jpeg_is_whole_only_with_its_last_scan(tmp_path: Path, picture):
    path = tmp_path / "a.jpg"
    Pillow.fromarray(cv2.resize(picture, (300, 400))).save(path, progressive=True)
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


def test_channels_are_one_or_three(tmp_path: Path):
    with pytest.raises(UserError, match="channels=4"):
        images.read(tmp_path / "a.png", 4)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".jpg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_written_is_read_back(tmp_path: Path, picture, suffix, channels):
    image = picture if channels == 3 else picture[..., 0]
    path = tmp_path / f"é{suffix}"
    images.write(path, image)
    found = images.read(path, channels)
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).max() <= (8 if suffix == ".jpg" else 0)
    assert [*tmp_path.iterdir()] == [path]


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path, picture):
    (tmp_path / "file").touch()
    for path in (tmp_path / "a.txt", tmp_path / "a", tmp_path / "no folder" / "a.png", tmp_path / "file" / "a.png"):
        with pytest.raises(UserError) as error:
            images.write(path, picture)
        one_line(error, path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_picture_is_the_programs_mistake(tmp_path: Path, picture):
    for image in (picture / 255, picture[..., :2]):
        with pytest.raises(ValueError, match="expected uint8") as error:
            images.write(tmp_path / "a.png", image)
        assert not isinstance(error.value, UserError)


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path, picture):
    path = tmp_path / "a.bmp"
    images.write(path, picture)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError) as error:
            images.write(path, picture[::-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_line(error, path)
    assert np.array_equal(images.read(path, 3), picture)
    assert [*tmp_path.iterdir()] == [path]
