"""The errors of a run's test faces, and the same faces in other runs."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from fkd.training.runs.reading import opened
from fkd.types import Points

FILE, CROPS = "test_faces.npz", "test_faces.jpg"
_FILE_BYTES = 100_000_000
_KINDS = {"nme": "f", "missed": "b", "image": "U", "subject": "U", "preds": "f", "target": "f", "visible": "b"}
_KINDS |= {"shown": "i"}
"""Array -> kind of its numpy dtype."""
_DIMENSIONS = {"preds": 3, "target": 3, "visible": 2}
_BYTES = {2: 100_000_000, 3: 500_000_000}
"""Dimensions -> most bytes of an array; of fewer dimensions 40 MB."""


@dataclass(frozen=True)
class FaceErrors:
    """N test faces of a run.

    Attributes:
        keys: (N,) image, and the number of the face on it: the same face has the same key in every run.
        subjects: (N,) name of the subject.
        nme: (N,) percent inter-ocular; 100 where the face was missed.
        missed: (N,) whether the detector missed it.
        run_dir: the run's folder, whose file also holds the keypoints.
    """

    keys: npt.NDArray[np.str_]
    subjects: npt.NDArray[np.str_]
    nme: npt.NDArray[np.float32]
    missed: npt.NDArray[np.bool_]
    run_dir: Path

    @property
    def curve(self) -> npt.NDArray[np.float32]:
        """(N,) `nme` for error curves: infinite where the face was missed."""
        return np.where(self.missed, np.inf, np.nan_to_num(self.nme, nan=np.inf)).astype(np.float32)

    def points(self) -> tuple[Points, Points, npt.NDArray[np.bool_]]:
        """(N, K, 2) predicted and true points in photo pixels; (N, K) which true points are visible.

        Raises:
            ValueError: the file is damaged.
        """
        arrays = _arrays(self.run_dir, "preds", "target", "visible")
        preds, target = (arrays[name].astype(np.float32) for name in ("preds", "target"))
        visible = arrays.get("visible", np.ones(target.shape[:2], bool))
        if not preds.shape == target.shape == (len(self.nme), *visible.shape[1:], 2) or len(visible) != len(self.nme):
            raise ValueError(f"{FILE}: expected points for each of {len(self.nme):,} faces, found {preds.shape}")
        return preds, target, visible

    def shown(self) -> list[int]:
        """The row of each crop in `test_faces.jpg`, from top to bottom; empty for a run of a version that kept none.

        Raises:
            ValueError: the file is damaged.
        """
        rows = _arrays(self.run_dir, "shown").get("shown", np.zeros(0, np.int64))
        if not ((rows >= 0) & (rows < len(self.nme))).all():
            raise ValueError(f"{FILE}: shown: expected rows of {len(self.nme):,} faces, found others")
        return [int(row) for row in rows]


def read(run_dir: Path) -> FaceErrors | None:
    """The test faces of a run; None if it has left none.

    Raises:
        ValueError: their file is damaged.
    """
    arrays = _arrays(run_dir, "nme", "missed", "image", "subject")
    if not arrays:
        return None
    nme, images, subjects = arrays["nme"].astype(np.float32), arrays["image"], arrays["subject"]
    if len({len(array) for array in arrays.values()}) > 1 or not len(nme):
        raise ValueError(f"{FILE}: expected arrays of one length, found {[len(a) for a in arrays.values()]}")
    if (nme < 0).any():
        raise ValueError(f"{FILE}: nme: expected errors of 0 and more, found {nme[nme < 0][0]}")
    found = FaceErrors(face_keys(images), subjects, nme, arrays["missed"], run_dir)
    found.points()  # so that damage is found before anything is drawn
    found.shown()
    return found


def _arrays(run_dir: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of the file; none without it. Types and sizes are checked before any is read.

    Raises:
        ValueError: the file is damaged.
    """
    found = {}
    try:
        with opened(run_dir, FILE, _FILE_BYTES) as file, zipfile.ZipFile(file) as archive:
            for name in set(names) & {entry.removesuffix(".npy") for entry in archive.namelist()}:
                with archive.open(f"{name}.npy") as entry:
                    found[name] = _array(name, entry, archive.getinfo(f"{name}.npy").file_size)
        if missing := set(names) - set(found) - {"visible", "shown"}:  # which older versions did not write
            raise ValueError(f"expected an array {min(missing)}, found none")
    except FileNotFoundError:
        return {}
    except Exception as error:  # zipfile, zlib and numpy can fail in any way on an untrusted file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{FILE}: cannot be read ({reason})") from error
    return found


def _array(name: str, file: Any, size: int) -> npt.NDArray[Any]:
    """One array of a zip entry whose directory says that it takes `size` bytes."""
    version = npy.read_magic(file)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    shape, is_fortran, dtype = read_header(file)
    dimensions = _DIMENSIONS.get(name, 1)
    expected = f"{name}: expected an array of {dimensions} dimensions and kind {_KINDS[name]}"
    if dtype.kind != _KINDS[name] or len(shape) != dimensions:
        raise ValueError(f"{expected}, found {shape} {dtype}")
    count = int(np.prod(shape, dtype=object))
    if not 0 <= count * dtype.itemsize <= min(size, _BYTES.get(dimensions, 40_000_000)):
        raise ValueError(f"{expected}, found {count * dtype.itemsize:,} bytes")
    values = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    array = values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)
    return np.array([str(text) for text in array], np.str_) if dtype.kind == "U" else array


def face_keys(images: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Names of images (N,) -> names of faces (N,), which differ for several faces of an image."""
    seen: Counter[str] = Counter()
    keys = []
    for image in images.tolist():
        keys.append(f"{image}#{seen[image]}" if seen[image] else image)
        seen[image] += 1
    return np.array(keys, dtype=np.str_)


def matched(runs: Sequence[FaceErrors]) -> list[npt.NDArray[np.int64]]:
    """For each run the rows of the faces that all runs have, in the same order."""
    places = [{key: row for row, key in enumerate(run.keys.tolist())} for run in runs]
    common = [key for key in places[0] if all(key in place for place in places)]
    return [np.array([place[key] for key in common], np.int64) for place in places]
