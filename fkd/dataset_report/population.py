"""Who and what a data set holds: faces, images, subjects, and what splits share."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import SPLITS, Faces

_NAMED = 20  # subjects in the report


@dataclass(frozen=True)
class Count:
    """How many of each."""

    faces: int
    images: int
    subjects: int


@dataclass(frozen=True)
class Shared:
    """What two splits have in common."""

    images: int
    subjects: int


@dataclass(frozen=True)
class Population:
    """Who and what a data set holds.

    Attributes:
        counts: "all", "train", "val" and "test" -> how many.
        shared: pairs of splits -> what is in both.
        names: (S,) the subjects, those with most images first.
        images_of: (S,) on how many images each of them is.
        visible: (K,) share of the faces on which a point is visible, 0 to 1.
    """

    counts: Mapping[str, Count]
    shared: Mapping[tuple[str, str], Shared]
    names: npt.NDArray[np.str_]
    images_of: npt.NDArray[np.int64]
    visible: npt.NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the names of the subjects with most images."""
        most = zip(self.names[:_NAMED].tolist(), self.images_of[:_NAMED].tolist(), strict=True)
        return {
            "counts": {name: vars(count) for name, count in self.counts.items()},
            "shared": {" and ".join(pair): vars(shared) for pair, shared in self.shared.items()},
            "visible": self.visible.round(6).tolist(),
            "most_images": [{"subject": name, "images": count} for name, count in most],
        }


def population(faces: Faces) -> Population:
    """Counts the faces, images and subjects of a data set."""
    table = faces.table
    names, subject = np.unique(table.subjects, return_inverse=True)
    parts = {"all": np.arange(len(table)), **{split: faces.splits[split] for split in SPLITS}}
    subjects, images = ({name: np.unique(ids[rows]) for name, rows in parts.items()} for ids in (subject, table.images))
    width = int(table.images.max(initial=0)) + 1  # a subject on an image counts once
    images_of = np.bincount(np.unique(subject * width + table.images) // width, minlength=len(names))
    order = np.argsort(-images_of, kind="stable")
    return Population(
        counts={name: Count(len(rows), len(images[name]), len(subjects[name])) for name, rows in parts.items()},
        shared={
            (a, b): Shared(*(len(np.intersect1d(ids[a], ids[b], assume_unique=True)) for ids in (images, subjects)))
            for a, b in combinations(SPLITS, 2)
        },
        names=names[order],
        images_of=images_of[order],
        visible=table.visible.mean(axis=0),
    )
