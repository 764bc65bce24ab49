"""What a script is pointed at (a photo, a folder, a glob, a video, a camera), and where its images go.

Every image has a place: its name below the folder that `input` speaks of, with forward slashes, and its number if it
is a frame. That folder is the one given, the one a photo or video lies in, or what stands before a glob's first
wildcard.
"""

import glob
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fkd.errors import UserError
from fkd.io import images, video
from fkd.types import Image

_WRITABLE = images.SUFFIXES - {".gif", ".jfif"}


class Place(NamedTuple):
    """Where an image is from."""

    image: str
    frame: int | None  # from 0; None for a photo


Canvas = Callable[[Place, Image], None]
"""Writes what was made of the image at a place, (H, W, 3) RGB."""


class Source(Protocol):
    """Images in order."""

    @property
    def count(self) -> int | None:
        """How many; None if nobody knows."""

    @property
    def fps(self) -> float | None:
        """Frames a second; None for photos."""

    @property
    def remark(self) -> str | None:
        """One line about what was left out."""

    def images(self) -> Iterator[Path | Image]:
        """Files, or RGB frames."""

    def places(self) -> Iterator[Place]:
        """Where each is from; may go on after the last."""

    def canvas(self, output: Path) -> AbstractContextManager[Canvas]:
        """Writes images into a folder: one for each photo, one video for all frames.

        Raises:
            UserError: an input would be written over.
        """

    def damage(self) -> str | None:
        """After the last image, in one line: why there are fewer than there should be."""


@dataclass(frozen=True)
class Photos:
    """Files below a folder.

    What is made of a photo keeps its name if its suffix is of a kind that is written (JPEG, PNG, BMP, TIFF, WebP); else
    .png is put after it, as often as it takes to be no other's name.
    """

    folder: Path
    names: Sequence[str]
    remark: str | None = None
    fps: None = field(default=None, init=False)

    @property
    def count(self) -> int:
        return len(self.names)

    def images(self) -> Iterator[Path]:
        return (self.folder / name for name in self.names)

    def places(self) -> Iterator[Place]:
        return (Place(name, None) for name in self.names)

    @contextmanager
    def canvas(self, output: Path) -> Iterator[Canvas]:
        renamed = _renamed(self.names)
        _check_overwritten(self.images(), (output / renamed.get(name, name) for name in self.names))

        def write(place: Place, image: Image) -> None:
            path = output / renamed.get(place.image, place.image)
            if not path.parent.is_dir():
                make_folder(path.parent)
            images.write(path, image)

        yield write

    def damage(self) -> None:
        return None


class Footage:
    """The frames of a video file or a camera, the first `frames` of them if that is given."""

    remark = None

    def __init__(self, source: Path | int, frames: int | None) -> None:
        self._reader, self._frames = video.VideoReader(source), frames
        self.name = source.name if isinstance(source, Path) else f"camera{source}.mp4"
        self.fps = self._reader.fps

    @property
    def count(self) -> int | None:
        known = [number for number in (self._reader.announced, self._frames) if number is not None]
        return min(known, default=None)

    def images(self) -> Iterator[Image]:
        return islice(self._reader, self._frames)

    def places(self) -> Iterator[Place]:
        return (Place(self.name, frame) for frame in count())

    @contextmanager
    def canvas(self, output: Path) -> Iterator[Canvas]:
        path = output / video.writable(self.name)
        if isinstance(self._reader.source, Path):
            _check_overwritten([self._reader.source], [path])
        with video.VideoWriter(path, self.fps) as writer:
            yield lambda place, image: writer.write(image)

    def damage(self) -> str | None:
        return None if self._reader.frames == self._frames else self._reader.damage()


def find(value: Any, output: Path, frames: int | None) -> Source:
    """What `input=value` stands for. Folders are searched with all below them, but for hidden names and the output.

    Args:
        value: a whole number is a camera; then comes what exists under this name; then a glob, ** for all folders.
        output: folder that results will go to, and may hold some already.
        frames: at most so many of a video or camera.

    Raises:
        UserError: naming `input`, `output` or `frames`: there is nothing to be found, or a video cannot be read.
    """
    if frames is not None and (not isinstance(frames, int) or frames < 1):
        raise UserError(f"frames: expected a whole number from 1 on, found {frames!r}")
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**15:
            raise UserError(f"input={value}: expected the number of a camera, 0 for the first; a file is ./{value}")
        return Footage(value, frames)
    if not isinstance(value, str) or not value:
        raise UserError(f"input: expected a photo, folder, glob, video or number of a camera, found {value!r}")
    path = Path(value)
    if path.suffix.lower() in video.SUFFIXES and path.is_file():
        return Footage(path, frames)
    photos = _photos(value, output)
    if frames is not None:
        raise UserError(f"frames={frames}: expected a video or a camera as input, found {value}; leave frames out")
    return photos


def make_folder(folder: Path) -> None:
    """Makes a folder that files can be written to.

    Raises:
        UserError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder that can be written to ({error.strerror}); give another"
        ) from error


@contextmanager
def unless_wrong(folder: Path) -> Iterator[None]:
    """A folder as `make_folder` makes it, which goes again, if empty, where the block finds the input wrong."""
    make_folder(folder)
    try:
        yield
    except UserError:
        with suppress(OSError):
            folder.rmdir()
        raise


def _photos(value: str, output: Path) -> Photos:
    path = Path(value)
    if path.is_dir():
        return _in_folder(path, output)
    if os.path.lexists(path):
        _results(output, path.parent)
        return Photos(path.parent, [path.name])
    if glob.has_magic(value):
        return _matching(value, output)
    raise UserError(f"input={value}: expected a photo, folder, glob, video or number of a camera, found no such file")


def _in_folder(folder: Path, output: Path) -> Photos:
    mine = _results(output, folder)
    locked: list[OSError] = []
    names = []
    for root, folders, files in os.walk(folder, onerror=locked.append):
        here = Path(root)
        folders[:] = [name for name in folders if not _is_hidden(name) and (here / name).resolve() != mine]
        names += [(here / name).relative_to(folder).as_posix() for name in files if not _is_hidden(name)]
    if locked:
        raise UserError(f"{locked[0].filename}: cannot look into the folder ({locked[0].strerror}); allow it first")
    return _only_images(folder, names, f"input={folder}")


def _matching(pattern: str, output: Path) -> Photos:
    parts = Path(pattern).parts
    wild = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    if ".." in parts[wild:]:
        raise UserError(f"input={pattern}: expected no .. after a wildcard; name the folder itself")
    folder = Path(*parts[:wild])
    mine = _results(output, folder)
    names = [
        Path(found).as_posix()
        for found in glob.glob(str(Path(*parts[wild:])), root_dir=folder, recursive=True)
        if (folder / found).is_file() and mine not in (folder / found).resolve().parents
    ]
    return _only_images(folder, names, f"input={pattern}")


def _results(output: Path, folder: Path) -> Path | None:
    """The real output folder if it lies below a folder of inputs, where what a run before has left is no input."""
    mine, whole = output.resolve(), folder.resolve()
    if mine == whole:
        raise UserError(
            f"output={output}: is the folder of the input, whose files could be written over; choose another"
        )
    return mine if whole in mine.parents else None


def _only_images(folder: Path, names: Iterable[str], what: str) -> Photos:
    found = sorted(set(names))
    names = [name for name in found if Path(name).suffix.lower() in images.SUFFIXES]
    others = len(found) - len(names)
    if not names:
        seen = f"{others:,} files of other kinds; a video is given by its own name" if others else "none"
        raise UserError(f"{what}: expected images (.jpg, .png, ...), found {seen}")
    left_out = "1 file that is no image by its" if others == 1 else f"{others:,} files that are no images by their"
    remark = f"left out: {left_out} suffix" if others else None
    return Photos(folder, names, remark)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _renamed(names: Sequence[str]) -> dict[str, str]:
    """Other names for those that no image can be written under."""
    taken, renamed = set(names), {}
    for name in names:
        if Path(name).suffix.lower() not in _WRITABLE:
            other = f"{name}.png"
            while other in taken:
                other += ".png"
            taken.add(other)
            renamed[name] = other
    return renamed


def _check_overwritten(sources: Iterable[Path], targets: Iterable[Path]) -> None:
    """Raises UserError if a result would take the place of an input."""
    folders: dict[Path, Path] = {}

    def place(path: Path) -> Path:  # a link is a place of its own, only the folders before it are followed
        if path.parent not in folders:
            folders[path.parent] = path.parent.resolve()
        return folders[path.parent] / path.name

    inputs = {place(path) for path in sources}
    for target in targets:
        if place(target) in inputs:
            raise UserError(f"output={target.parent}: would write over the input {target.name}; choose another folder")
