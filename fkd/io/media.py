"""The images of `input` (photos, folders, globs, a video or a camera), and where their results are written.

Every image has a place: its name below the folder of the input, with forward slashes, and its number if it is a frame.
The folder of the input is the given one, that of a photo or video, or the part before a glob's first wildcard; of
several inputs it is the nearest folder that holds all of theirs.
"""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from fkd.errors import UserError
from fkd.io import images, video
from fkd.io.folders import make_folder
from fkd.types import Image

_WRITABLE = images.SUFFIXES - {".gif", ".jfif"}


class Place(NamedTuple):
    """The origin of an image."""

    image: str
    frame: int | None  # from 0; None for a photo


Canvas = Callable[[Place, Image], None]
"""Writes the result (H, W, 3) RGB for the image of a place."""


@dataclass(frozen=True)
class Photos:
    """Image files below a folder.

    A result keeps the name of its photo if that suffix can be written (JPEG, PNG, BMP, TIFF, WebP); otherwise .png is
    appended, as often as needed for a new name.

    Attributes:
        remark: one line about files that were left out, if any were.
    """

    folder: Path
    names: Sequence[str]
    remark: str | None = None
    fps = None

    @property
    def count(self) -> int:
        return len(self.names)

    def images(self) -> Iterator[Path]:
        """The files in order."""
        return (self.folder / name for name in self.names)

    def places(self) -> Iterator[Place]:
        """The place of each image."""
        return (Place(name, None) for name in self.names)

    @contextmanager
    def canvas(self, output: Path) -> Iterator[Canvas]:
        """Writes an image for each photo into a folder.

        Raises:
            UserError: an input would be overwritten.
        """
        paths = {name: output / other for name, other in _writable(self.names).items()}
        _check_overwritten((self.folder / name for name in self.names), paths.values())

        def write(place: Place, image: Image) -> None:
            path = paths[place.image]
            if not path.parent.is_dir():
                make_folder(path.parent)
            images.write(path, image)

        yield write

    def damage(self) -> str | None:
        """None, because each photo has its own errors."""
        return None


class Footage:
    """The frames of a video file or a camera, only the first `frames` of them if that is not None.

    Attributes:
        fps: frames a second.
    """

    remark = None

    def __init__(self, source: Path | int, frames: int | None) -> None:
        self._reader, self._frames = video.VideoReader(source), frames
        self.name = source.name if isinstance(source, Path) else f"camera{source}.mp4"
        self.fps = self._reader.fps

    @property
    def count(self) -> int | None:
        """Number of frames; None if it is not known."""
        known = [number for number in (self._reader.announced, self._frames) if number is not None]
        return min(known, default=None)

    def images(self) -> Iterator[Path | Image]:
        """The RGB frames."""
        return islice(self._reader, self._frames)

    def places(self) -> Iterator[Place]:
        """The place of each frame, without end."""
        return (Place(self.name, frame) for frame in count())

    @contextmanager
    def canvas(self, output: Path) -> Iterator[Canvas]:
        """Writes one video of all frames into a folder.

        Raises:
            UserError: the input would be overwritten.
        """
        path = output / video.writable(self.name)
        if isinstance(self._reader.source, Path):
            _check_overwritten([self._reader.source], [path])
        with video.VideoWriter(path, self.fps) as writer:
            yield lambda place, image: writer.write(image)

    def damage(self) -> str | None:
        """After the last frame: one line if frames are missing, else None."""
        return None if self._reader.frames == self._frames else self._reader.damage()


Source = Photos | Footage


def find(value: Any, output: Path, frames: int | None) -> Source:
    """The images of `input=value`. Folders are searched recursively, without hidden names and the output folder.

    Args:
        value: a whole number is a camera, otherwise an existing file or folder, otherwise a glob (** for all folders);
            or a list of photos, folders and globs.
        output: folder of the results; it may hold older ones.
        frames: largest number of frames of a video or camera.

    Raises:
        UserError: nothing is found, or a video cannot be read; names `input`, `output` or `frames`.
    """
    if frames is not None and (not isinstance(frames, int) or frames < 1):
        raise UserError(f"frames: expected a whole number from 1 on, found {frames!r}")
    if isinstance(value, list) and value:
        return _together([find(each, output, frames) for each in value], output)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**15:
            raise UserError(f"input={value}: expected the number of a camera, 0 for the first; a file is ./{value}")
        return Footage(value, frames)
    if not isinstance(value, str) or not value:
        raise UserError(f"input: expected a photo, folder, glob, video or number of a camera, found {value!r}")
    path = Path(value)
    if path.suffix.lower() in video.SUFFIXES and path.is_file():
        return Footage(path, frames)
    if path.is_dir():
        photos = _in_folder(path, output)
    elif os.path.lexists(path):
        _output_below(path.parent, output)
        photos = Photos(path.parent, [path.name])
    elif glob.has_magic(value):
        photos = _matching(value, output)
    else:
        raise UserError(
            f"input={value}: expected a photo, folder, glob, video or number of a camera, found no such file"
        )
    if frames is not None:
        raise UserError(f"frames={frames}: expected a video or a camera as input, found {value}; leave frames out")
    return photos


def _together(sources: Sequence[Source], output: Path) -> Source:
    """Photos of several inputs in their order, each once."""
    if len(sources) == 1:
        return sources[0]
    photos = [source for source in sources if isinstance(source, Photos)]
    if len(photos) < len(sources):
        raise UserError("input: expected a video or a camera alone, found other inputs, too; give a command for each")
    resolved = cache(Path.resolve)
    folder = Path(os.path.commonpath([resolved(source.folder) for source in photos]))
    files = (resolved(path.parent) / path.name for source in photos for path in source.images())
    names = dict.fromkeys(file.relative_to(folder).as_posix() for file in files)
    _output_below(folder, output)
    remarks = [source.remark for source in photos if source.remark]
    return Photos(folder, list(names), "; ".join(remarks) or None)


def _in_folder(folder: Path, output: Path) -> Photos:
    results = _output_below(folder, output)
    errors: list[OSError] = []
    names = []
    for root, folders, files in os.walk(folder, onerror=errors.append):
        here = Path(root)
        folders[:] = [name for name in folders if not name.startswith(".") and (here / name).resolve() != results]
        names += [(here / name).relative_to(folder).as_posix() for name in files if not name.startswith(".")]
    if errors:
        raise UserError(f"{errors[0].filename}: cannot look into the folder ({errors[0].strerror}); allow it first")
    return _only_images(folder, names, f"input={folder}")


def _matching(pattern: str, output: Path) -> Photos:
    parts = Path(pattern).parts
    wild = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    if ".." in parts[wild:]:
        raise UserError(f"input={pattern}: expected no .. after a wildcard; name the folder itself")
    folder = Path(*parts[:wild])
    results = _output_below(folder, output)
    names = [
        Path(found).as_posix()
        for found in glob.glob(str(Path(*parts[wild:])), root_dir=folder, recursive=True)
        if (folder / found).is_file() and results not in (folder / found).resolve().parents
    ]
    return _only_images(folder, names, f"input={pattern}")


def _output_below(folder: Path, output: Path) -> Path | None:
    """The real output folder if it is below the folder of the input: results of an earlier run are no input."""
    results, inputs = output.resolve(), folder.resolve()
    if results == inputs:
        raise UserError(
            f"output={output}: is the folder of the input, whose files could be overwritten; choose another"
        )
    return results if inputs in results.parents else None


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


def _writable(names: Sequence[str]) -> dict[str, str]:
    """Name -> the name of its result: the same, or a new one if its suffix cannot be written."""
    taken, writable = set(names), {}
    for name in names:
        result = name
        if Path(name).suffix.lower() not in _WRITABLE:
            while result in taken:
                result += ".png"
            taken.add(result)
        writable[name] = result
    return writable


def _check_overwritten(sources: Iterable[Path], targets: Iterable[Path]) -> None:
    """Raises a UserError if a result would overwrite an input."""
    resolved = cache(Path.resolve)
    inputs = {resolved(path.parent) / path.name for path in sources}  # a link is a file of its own
    for target in targets:
        if resolved(target.parent) / target.name in inputs:
            raise UserError(f"output={target.parent}: would overwrite the input {target.name}; choose another folder")
