"""Counts of faces, images and subjects, and those that splits share."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import SPLITS, Faces

_NAMED = 20  # subjects in report.json


@dataclass(frozen=True)
class Population:
    """Counts of a data set.

    Attributes:
        counts: "all", "train", "val" and "test" -> "faces", "images" and "subjects" -> their number.
        shared: pairs of splits -> "images" and "subjects" -> the number in both splits.
        names: (S,) the subjects, those with most images first.
        images_of: (S,) number of images of each subject.
        visible: (K,) share of the faces on which a point is visible, 0 to 1.
    """

    counts: Mapping[str, Mapping[str, int]]
    shared: Mapping[tuple[str, str], Mapping[str, int]]
    names: npt.NDArray[np.str_]
    images_of: npt.NDArray[np.int64]
    visible: npt.NDArray[np.float64]

    def most_images(self, count: int) -> list[tuple[str, int]]:
        """The subjects with most images, and the numbers of their images."""
        return list(zip(self.names[:count].tolist(), self.images_of[:count].tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the names of the subjects with most images."""
        return {
            "counts": self.counts,
            "shared": {" and ".join(pair): shared for pair, shared in self.shared.items()},
            "visible": self.visible.round(6).tolist(),
            "most_images": [{"subject": name, "images": count} for name, count in self.most_images(_NAMED)],
        }


def population(faces: Faces) -> Population:
    """Count the faces, images and subjects of a data set."""
    table = faces.table
    names, subject = np.unique(table.subjects, return_inverse=True)
    parts = {"all": np.arange(len(table)), **{split: faces.splits[split] for split in SPLITS}}
    ids = {"images": table.images, "subjects": subject}
    unique = {kind: {name: np.unique(numbers[rows]) for name, rows in parts.items()} for kind, numbers in ids.items()}
    width = int(table.images.max(initial=0)) + 1  # a subject with several faces on an image counts once
    images_of = np.bincount(np.unique(subject * width + table.images) // width, minlength=len(names))
    order = np.argsort(-images_of, kind="stable")
    return Population(
        counts={
            name: {"faces": len(rows)} | {kind: len(of[name]) for kind, of in unique.items()}
            for name, rows in parts.items()
        },
        shared={
            (a, b): {kind: len(np.intersect1d(of[a], of[b], assume_unique=True)) for kind, of in unique.items()}
            for a, b in combinations(SPLITS, 2)
        },
        names=names[order],
        images_of=images_of[order],
        visible=table.visible.mean(axis=0),
    )
