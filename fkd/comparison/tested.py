"""A run's test faces, one by one, and the same faces found again in other runs."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.types import Points


@dataclass(frozen=True)
class FaceErrors:
    """N test faces of a run.

    Attributes:
        keys: (N,) image and which of its faces: the same face has the same key in every run.
        subjects: (N,) name of the subject.
        nme: (N,) percent inter-ocular; 100 where the face was missed.
        missed: (N,) whether the detector missed it.
        path: the file, which holds the points as well.
    """

    keys: npt.NDArray[np.str_]
    subjects: npt.NDArray[np.str_]
    nme: npt.NDArray[np.float32]
    missed: npt.NDArray[np.bool_]
    path: Path

    @property
    def curve(self) -> npt.NDArray[np.float32]:
        """(N,) `nme` for error curves: infinite where the face was missed."""
        return np.where(self.missed, np.inf, np.nan_to_num(self.nme, nan=np.inf)).astype(np.float32)

    def points(self) -> tuple[Points, Points, npt.NDArray[np.bool_]]:
        """(N, K, 2) predicted and true points in photo pixels; (N, K) which of the true ones are known."""
        with np.load(self.path) as file:
            preds, target = file["preds"], file["target"]
            return (
                preds,
                target,
                file.get("visible", np.ones(target.shape[:2], bool)),
            )  # an older run says nothing of it


def read(run_dir: Path) -> FaceErrors | None:
    """The test faces of a run; None if it left none that can be read."""
    path = run_dir / "test_faces.npz"
    try:
        with np.load(path) as file:
            nme, missed = file["nme"], file["missed"]
            images, subjects = file["image"].astype(str), file["subject"].astype(str)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if nme.ndim != 1 or not len(nme) == len(missed) == len(images) == len(subjects) > 0:
        return None
    return FaceErrors(face_keys(images), subjects, nme, missed.astype(bool), path)


def face_keys(images: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Names of images (N,) -> names of faces (N,): the second face of an image is another one."""
    seen: Counter[str] = Counter()
    keys = []
    for image in images.tolist():
        keys.append(f"{image}#{seen[image]}" if seen[image] else image)
        seen[image] += 1
    return np.array(keys, dtype=np.str_)


def matched(runs: Sequence[FaceErrors]) -> list[npt.NDArray[np.int64]]:
    """For each run the rows of the faces that all of them have, in one order for all."""
    common = runs[0].keys
    for run in runs[1:]:
        common = common[np.isin(common, run.keys)]
    rows = []
    for run in runs:
        place = {key: row for row, key in enumerate(run.keys.tolist())}
        rows.append(np.array([place[key] for key in common.tolist()], np.int64))
    return rows
