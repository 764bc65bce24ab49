"""The errors of a run's test faces, and the same faces in other runs."""

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
        keys: (N,) image, and the number of the face on it: the same face has the same key in every run.
        subjects: (N,) name of the subject.
        nme: (N,) percent inter-ocular; 100 where the face was missed.
        missed: (N,) whether the detector missed it.
        path: the file, which also holds the keypoints.
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
        """(N, K, 2) predicted and true points in photo pixels; (N, K) which true points are visible."""
        with np.load(self.path) as file:
            target = file["target"]
            visible = file.get("visible", np.ones(target.shape[:2], bool))  # older versions did not write it
            return file["preds"], target, visible


def read(run_dir: Path) -> FaceErrors | None:
    """The test faces of a run; None if it has no readable file of them."""
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
