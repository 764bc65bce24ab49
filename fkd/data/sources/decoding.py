"""Picture files of a set, decoded."""

from collections.abc import Sequence
from pathlib import Path

from fkd.data.cache import ImageCache, files_key
from fkd.errors import UserError
from fkd.io import images
from fkd.terminal import progress
from fkd.types import Image

_SHOWN = 5


def decoded(name: str, folder: Path, files: Sequence[str], channels: int, cache_dir: Path) -> ImageCache:
    """The pictures of some files, in order.

    Args:
        name: of the set.
        folder: of the files.
        files: their names in it.
        channels: 1 for grey, 3 for RGB.
        cache_dir: where decoded pictures are kept.

    Raises:
        UserError: pictures that cannot be read, all of them: who mends one should not meet the next one then.
    """

    def read(index: int) -> Image:
        try:
            return images.read(folder / files[index], channels)
        except UserError as error:
            raise _UnreadableError(str(error)) from error

    key = f"{name}-{files_key([folder / file for file in files], channels)}"
    try:
        return ImageCache.build(cache_dir, key, len(files), read, "Decoding pictures")
    except _UnreadableError as error:
        if len(broken := _unreadable(folder, files, channels)) < 2:
            raise UserError(str(error)) from error
        shown = ", ".join(broken[:_SHOWN]) + ", ..." * (len(broken) > _SHOWN)
        raise UserError(
            f"{error}; {len(broken):,} of {len(files):,} pictures cannot be read: {shown}; copy them again, or name "
            "them in a file, one a line, that data.exclude=FILE leaves out"
        ) from error


def _unreadable(folder: Path, files: Sequence[str], channels: int) -> list[str]:
    names = []
    with progress("Looking for others like it", len(files)) as advance:
        for file in files:
            try:
                images.read(folder / file, channels)
            except UserError:
                names.append(file)
            advance()
    return names


class _UnreadableError(UserError):
    """A picture is."""
