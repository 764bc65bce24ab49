import struct
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
import pytest

from fkd.errors import UserError
from fkd.io import video
from fkd.io.video import VideoReader, VideoWriter


def frame(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Red above, green below, blue at the right: mirrored, turned and swapped colours all show."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = 200
    image[height // 2 :, :, 1] = 200
    image[:, 3 * width // 4 :] = (0, 0, 200)
    image[:8, :8] = 8 * (number % 25)  # tells frames apart
    return image


def make(path: Path, frames: int, width: int = 64, height: int = 48) -> Path:
    return write(path, (frame(number, width, height) for number in range(frames)))


def write(path: Path, frames: Iterable[np.ndarray]) -> Path:
    with VideoWriter(path, 12.5) as writer:
        for image in frames:
            writer.write(image)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".MP4", ".mov", ".m4v", ".mkv", ".avi"])
def test_frames_come_back_as_they_went(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"clip{suffix}", 20)
    reader = VideoReader(path)
    assert reader.fps == pytest.approx(12.5)
    assert reader.announced == 20
    frames = list(reader)
    assert len(frames) == reader.frames == 20
    assert reader.damage() is None
    for number in (0, 7, 19):
        assert frames[number].shape == (48, 64, 3)
        assert abs(frames[number].astype(int) - frame(number)).mean() < 6
        assert frames[number][2:6, 2:6].mean() == pytest.approx(8 * number, abs=4)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_odd_sizes_lose_no_pixel(tmp_path: Path) -> None:
    (image,) = VideoReader(make(tmp_path / "odd.mp4", 1, 65, 49))
    assert image.shape == (50, 66, 3)
    assert abs(image[:49, :65].astype(int) - frame(0, 65, 49)).mean() < 8


def test_a_frame_of_another_size_is_scaled_not_lost(tmp_path: Path) -> None:
    first, second = VideoReader(write(tmp_path / "a.mp4", [frame(0), frame(0, 128, 96)]))
    assert abs(first.astype(int) - second).mean() < 5


def test_the_note_on_how_it_was_held_is_obeyed(tmp_path: Path) -> None:
    path = make(tmp_path / "turned.mp4", 3)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # ISO 14496-12, section 8.3.2: after the times, the duration and the layer
    assert struct.unpack(">9i", data[matrix : matrix + 36])[::4] == (1 << 16, 1 << 16, 1 << 30)
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(data)
    image = next(iter(VideoReader(path)))
    assert abs(image.astype(int) - np.rot90(frame(0), -1)).mean() < 6


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_that_ends_in_the_middle_gives_its_frames_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"clip{suffix}", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    reader = VideoReader(path)
    assert 10 < len(list(reader)) < 35
    damage = reader.damage()
    assert damage is not None
    assert f"announces 40 frames, {reader.frames} could be read" in damage


def test_a_count_that_is_a_little_off_is_no_damage(tmp_path: Path) -> None:
    reader = VideoReader(make(tmp_path / "clip.avi", 40))
    assert len(list(reader)) == 40
    for announced, is_damaged in ((None, False), (38, False), (42, False), (43, True), (80, True)):
        reader.announced = announced
        assert (reader.damage() is not None) == is_damaged
    reader.frames, reader.announced = 10_000, 10_099  # what lies before a cut at a key frame
    assert reader.damage() is None


@pytest.mark.parametrize("content", [b"", b"no video at all, but some text" * 20, None, "folder", "half"])
def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "clip.mp4"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "half":  # an mp4 without its end, where the table of its frames is
        make(path, 20)
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"clip.mp4: expected a video, found") as error:
        VideoReader(path)
    assert "\n" not in str(error.value)


def test_a_name_with_a_colon_is_a_file_and_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("clip.mp4"), 2).rename("http:clip.mp4")
    assert len(list(VideoReader(Path("http:clip.mp4")))) == 2


def test_a_image_that_cannot_be_decoded_ends_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = VideoReader(make(tmp_path / "clip.mp4", 3))

    class Broken:
        def read(self) -> None:
            raise cv2.error("memory")

        def release(self) -> None: ...

    monkeypatch.setattr(reader, "_capture", Broken())
    assert list(reader) == []
    assert "no frame that can be decoded" in str(reader.damage())


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    path = make(tmp_path / "clip.mp4", 2)
    before = path.read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield frame(0)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write(path, broken())
    assert path.read_bytes() == before
    write(tmp_path / "empty.mp4", [])
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_places_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write a video of 64 x 48"):
        make(tmp_path / "missing" / "clip.mp4", 2)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=r"folder.mp4: cannot write"):
        make(tmp_path / "folder.mp4", 2)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.mp4"]


def test_a_full_disk_is_noticed(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        with pytest.raises(UserError, match=r"full.mp4: cannot write.* is the disk full"):
            write(tmp_path / "full.mp4", repeat(noise, 60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 251, "two\nlines", "bytes\udcff"])
def test_a_name_may_be_as_long_as_files_can_have_it_and_hold_anything(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / f"{name}.mp4", 2)
    assert len(list(VideoReader(path))) == 2
    assert [*tmp_path.iterdir()] == [path]


def test_names_that_can_be_written_stay() -> None:
    assert video.writable("a.AVI") == "a.AVI"
    assert video.writable("a.webm") == "a.webm.mp4"


class Camera:
    """Stands in for a camera: endless frames, and a rate that it does not know."""

    def __init__(self, number: int) -> None:
        self.number, self.closed = number, False

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return self.number == 0

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FPS: 0.0, cv2.CAP_PROP_FRAME_COUNT: -1.0}[key]

    def read(self) -> tuple[bool, np.ndarray]:
        return True, cv2.cvtColor(frame(1), cv2.COLOR_RGB2BGR)

    def release(self) -> None:
        self.closed = True


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    made: list[Camera] = []

    def capture(number: int) -> Camera:
        made.append(Camera(number))
        return made[-1]

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    return made


def test_a_camera_gives_frames_until_it_is_left(cameras: list[Camera]) -> None:
    reader = VideoReader(0)
    assert reader.announced is None
    assert reader.fps == 25
    frames = iter(reader)
    assert [image.shape for image in islice(frames, 3)] == [(48, 64, 3)] * 3
    np.testing.assert_array_equal(next(frames), frame(1))
    frames.close()  # type: ignore[attr-defined]
    assert cameras[0].closed
    with pytest.raises(UserError, match="input=1: expected the number of a camera"):
        VideoReader(1)
