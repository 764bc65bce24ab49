from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd.data.sources import FileSet
from fkd.io import images

FOUR = {
    "name": "four",
    "names": ["right", "left", "nose", "chin"],
    "parts": {"eyes": [0, 1], "rest": [2, 3]},
    "flip": {0: 1},
    "normaliser": [0, 1],
}
"""A schema of four points keeps annotation files small enough to read."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with ten images, p0.png to p9.png, each of its own grey and size."""
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(10):
        images.write(folder / f"p{i}.png", np.full((40 + i, 60 + i), 20 * i, np.uint8))
    return folder


@pytest.fixture
def fileset(root: Path, tmp_path: Path) -> Callable[..., FileSet]:
    def make(**changes: object) -> FileSet:
        settings = {
            "name": "mine",
            "root": str(root),
            "schema": FOUR,
            "mapping": None,
            "subject": "image",
            "exclude": None,
            "val_share": 0.2,
            "test_share": 0.2,
            "split_seed": 0,
            "channels": 1,
            "cache_dir": str(tmp_path / "cache"),
        }
        return FileSet(**(settings | changes))

    return make


def face(i: int) -> np.ndarray:
    """(4, 2) points of image i."""
    return np.array([[10.0, 10], [30, 12], [20, 20], [21, 35.5]]) + np.array([i, i / 2])
