"""Kaggle's Facial Keypoints Detection: images inside a CSV file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.data.cache import ImageCache, files_key
from fkd.data.contents import kept_hashes, pixel_hash
from fkd.data.face_data import Faces
from fkd.data.sources.csv_table import Columns, Table, own_name
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
    ``Image`` with 96 x 96 grey values from 0 to 255, row by row. NaimishNet (arXiv:1710.00977) was made for this set.

    Args:
        files: the set.
        train: the file, below its root.
        columns: headers of x and y, see `fkd.data.sources.csv_table.Columns`.

    Raises:
        UserError: what the file lacks, by line.
    """
    if not isinstance(train, str):
        raise UserError(f"data.train={train}: expected a CSV file below {files.root}")
    table = Table(files, files.folder / train, Columns(None, columns, None, may_lack=True), "")
    column = table.column(_COLUMN)

    def decoded(names: list[str], needed: npt.NDArray[np.bool_]) -> tuple[ImageCache, Hashes]:
        rows = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]  # other points, other faces that are scored
        key = f"{files.name}-{files_key([table.path], files.channels)}-{rows}"
        decoded = partial(_images, table, column, dict(zip(names, needed.tolist(), strict=True)), files.channels)
        cache = ImageCache.from_images(
            Path(files.cache_dir), key, len(names), decoded, "Reading images", "data.cache_dir", needed
        )
        return cache, kept_hashes(
            cache.path.with_suffix(".hashes.npy"),
            len(cache),
            lambda: np.array([pixel_hash(cache[i]) for i in range(len(cache))], np.uint64),
        )

    return files.faces(table.listing("train"), ["train"], decoded)


def _images(table: Table, column: int, needed: Mapping[str, bool], channels: int) -> Iterator[Image]:
    """Those of the table's lines that are named, in order; a name says whether its image must be readable."""
    for line, cells in table.lines():
        if (name := own_name(table.path, line)) in needed:
            values = [number(word) for word in cells[column].split()]
            if len(values) != _SIDE**2 or not all(0 <= value <= 255 for value in values):
                if not needed[name]:
                    yield no_pixels(channels)
                    continue
                raise UserError(
                    f"{table.path} line {line}: expected {_SIDE} x {_SIDE} values from 0 to 255 as {_COLUMN}, found "
                    f"{len(values)}, {short(cells[column][:40])}"
                )
            yield images.in_channels(np.array(values).reshape(_SIDE, _SIDE).astype(np.uint8), channels)
