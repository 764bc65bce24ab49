"""Kaggle's Facial Keypoints Detection: images inside a CSV file."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.data.cache import ImageCache, files_key
from fkd.data.face_data import Faces
from fkd.data.image_hashes import pixel_hash
from fkd.data.sources.csv_table import Table, own_name
from fkd.data.sources.decoding import no_pixels
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import number
from fkd.errors import UserError, short
from fkd.io import images
from fkd.types import Hashes, Image

_COLUMN, _SIDE = "Image", 96


def kaggle(files: FileSet, train: str, columns: Sequence[str]) -> Faces:
    """All rows with points of the competition's training file; validation and test are held out of them.

    https://www.kaggle.com/c/facial-keypoints-detection/data: 15 points, of which most rows lack some, and the column
    ``Image`` with 96 x 96 grey values from 0 to 255, row by row. NaimishNet (arXiv:1710.00977) was made for it.

    Args:
        files: the dataset.
        train: the file, below its root.
        columns: headers of x and y, see `fkd.data.sources.csv_table.Table`.

    Raises:
        UserError: an error of the file, by line.
    """
    if not isinstance(train, str):
        raise UserError(f"data.train={train}: expected a CSV file below {files.root}")
    table = Table(files, files.folder / train, None, columns)
    column = table.column(_COLUMN)

    def decoded(names: list[str], needed: npt.NDArray[np.bool_]) -> tuple[ImageCache, Hashes]:
        rows = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]  # other points: other faces can be scored
        key = f"{files.name}-{files_key([table.path], files.channels)}-{rows}"
        is_needed = dict(zip(names, needed.tolist(), strict=True))
        cache = ImageCache.build(
            Path(files.cache_dir),
            key,
            len(names),
            lambda: _images(table, column, is_needed, files.channels),
            "Reading images",
            needed=needed,
        )
        return cache, np.array([pixel_hash(cache[i]) for i in range(len(cache))], np.uint64)

    return files.faces(table.listing("train"), ["train"], decoded)


def _images(table: Table, column: int, needed: Mapping[str, bool], channels: int) -> Generator[Image]:
    """The images of the rows named in `needed`, in order; its values say which must be readable."""
    for line, cells in table.lines():
        if (name := own_name(table.path, line)) not in needed:
            continue
        values = [number(word) for word in cells[column].split()]
        if len(values) == _SIDE**2 and all(0 <= value <= 255 for value in values):
            yield images.in_channels(np.array(values).reshape(_SIDE, _SIDE).astype(np.uint8), channels)
        elif needed[name]:
            raise UserError(
                f"{table.path} line {line}: expected {_SIDE} x {_SIDE} values from 0 to 255 as {_COLUMN}, found "
                f"{len(values)}, {short(cells[column][:40])}"
            )
        else:
            yield no_pixels(channels)
