"""One array in a file with a checksum."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.io.atomic import whole_file

SUFFIX = ".npz"
_NAME = "array"


def write(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as file:
        np.savez(file, **{_NAME: array})  # type: ignore[arg-type]


def read(path: Path) -> npt.NDArray[Any] | None:
    """The array of a file that `write` made; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:  # a part's checksum is verified when it is read
            array: npt.NDArray[Any] = archive[_NAME]
            return array
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error):
        return None
