"""Reading videos and cameras as RGB frames, and writing videos."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from fkd.errors import UserError
from fkd.io.atomic import temporary_name
from fkd.types import Image

# FFmpeg and OpenCV would print warnings beside our errors.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

SUFFIXES = frozenset((".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"))
"""Suffixes of files that are read as videos."""
_CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""Suffix -> a codec that every build of OpenCV with FFmpeg can write."""
_FPS = 25.0  # for sources that do not give theirs


class VideoReader:
    """Frames of a video file or a camera, rotated as the file's metadata says.

    Args:
        source: a file, or the number of a camera.

    Raises:
        UserError: the file is missing or no video, or there is no such camera.

    Attributes:
        fps: frames a second.
        announced: number of frames in the file's header; None without one (a camera, a recording that was cut off).
        frames: number of frames that were read.
    """

    def __init__(self, source: Path | int) -> None:
        self.source = source
        self._capture = _open_camera(source) if isinstance(source, int) else _open_file(source)
        fps, count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = fps if 0 < fps <= 1000 else _FPS
        self.announced = int(count) if isinstance(source, Path) and count > 0 else None
        self.frames = 0

    def __iter__(self) -> Iterator[Image]:
        """The remaining frames, (H, W, 3) RGB; the file or camera is closed after the last."""
        try:
            while (read := self._capture.read())[0]:
                self.frames += 1
                yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)  # type: ignore[misc]
        except cv2.error:  # e.g. a damaged header asks for too much memory
            pass
        finally:
            self._capture.release()

    def damage(self) -> str | None:
        """After reading: one line if the file seems cut off or damaged, else None.

        It does if at least three frames and 1 % of all are missing, because containers also count frames that are never
        shown, such as those before a cut at a key frame.
        """
        if self.frames == 0:
            return f"{self.source}: expected a video, found no frame that can be decoded; copy or record it again"
        missing = (self.announced or 0) - self.frames
        if missing < 3 or missing < 0.01 * self.frames:
            return None
        return (
            f"{self.source}: the video announces {self.announced:,} frames, {self.frames:,} could be read; "
            "it is cut off or damaged; copy or record it again"
        )


class VideoWriter:
    """Atomic write of a video of RGB frames, without sound.

    The size is that of the first frame, padded to even numbers at the right and bottom, as codecs need it. Without a
    frame nothing is written.

    Args:
        path: the file; its suffix chooses the format (see `writable`).
        fps: frames a second.

    Raises:
        UserError: the file cannot be written, or no codec can write this format and size.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps, self.frames = path, fps, 0
        self._temporary = path.with_name(temporary_name(path.stem, path.suffix))
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Image) -> None:
        """Appends a frame (H, W, 3) RGB, scaled to the size of the first."""
        if self._writer is None:
            self._writer = self._open(frame)
        if frame.shape[1::-1] != self._size:
            frame = cv2.resize(frame, self._size)  # type: ignore[assignment]
        right, bottom = self._size[0] % 2, self._size[1] % 2
        even = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()
        try:
            if error is None:
                self._check()
                self._temporary.replace(self.path)
        except OSError as failure:
            raise UserError(
                f"{self.path}: cannot write the video ({failure.strerror}); choose another place"
            ) from failure
        finally:
            self._temporary.unlink(missing_ok=True)

    def _open(self, frame: Image) -> cv2.VideoWriter:
        height, width = frame.shape[:2]
        self._size = (width, height)
        codec = cv2.VideoWriter.fourcc(*_CODECS[self.path.suffix.lower()])
        even = (width + width % 2, height + height % 2)
        writer = cv2.VideoWriter(_name(self._temporary), cv2.CAP_FFMPEG, codec, self.fps, even)
        if not writer.isOpened():
            raise UserError(
                f"{self.path}: cannot write a video of {width} x {height} pixels here; choose another folder, "
                "or a smaller video"
            )
        return writer

    def _check(self) -> None:
        """Counts the frames of the written file, because OpenCV ignores a full disk."""
        written = cv2.VideoCapture(_name(self._temporary), cv2.CAP_FFMPEG)
        try:
            if not written.isOpened() or written.get(cv2.CAP_PROP_FRAME_COUNT) < self.frames:
                raise UserError(
                    f"{self.path}: cannot write it, not all of {self.frames:,} frames arrived; is the disk full?"
                )
        finally:
            written.release()


def writable(name: str) -> str:
    """The name of a video's result: the same, or with .mp4 appended if OpenCV cannot write this format."""
    return name if Path(name).suffix.lower() in _CODECS else f"{name}.mp4"


def _name(path: Path) -> str:
    """Bytes, since OpenCV ends the process at a text that is no UTF-8; its type hints only know texts."""
    return os.fsencode(path)  # type: ignore[return-value]


def _open_file(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise UserError(f"{path}: expected a video, found {'a folder' if path.is_dir() else 'no such file'}")
    # An absolute path, because FFmpeg takes the part before a colon for a protocol.
    capture = cv2.VideoCapture(_name(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UserError(
            f"{path}: expected a video, found {path.stat().st_size:,} bytes that cannot be read as one "
            "(cut off, damaged or of another kind); copy or record it again"
        )
    return capture


def _open_camera(number: int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise UserError(
            f"input={number}: expected the number of a camera, found none that opens; the first is 0, and a file or "
            f"folder of that name is ./{number}"
        )
    return capture
