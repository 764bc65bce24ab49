"""Who and what a data set holds: faces, pictures, people, and what splits share."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import SPLITS, Faces

_NAMED = 20  # people in the report


@dataclass(frozen=True)
class Count:
    """How many of each."""

    faces: int
    pictures: int
    people: int


@dataclass(frozen=True)
class Shared:
    """What two splits have in common."""

    pictures: int
    people: int


@dataclass(frozen=True)
class Population:
    """Who and what a data set holds.

    Attributes:
        counts: "all", "train", "val" and "test" -> how many.
        shared: pairs of splits -> what is in both.
        names: (S,) the people, those with most pictures first.
        pictures_of: (S,) on how many pictures each of them is.
        visible: (K,) share of the faces on which a point is visible, 0 to 1.
    """

    counts: Mapping[str, Count]
    shared: Mapping[tuple[str, str], Shared]
    names: npt.NDArray[np.str_]
    pictures_of: npt.NDArray[np.int64]
    visible: npt.NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the names of the people with most pictures."""
        most = zip(self.names[:_NAMED].tolist(), self.pictures_of[:_NAMED].tolist(), strict=True)
        return {
            "counts": {name: vars(count) for name, count in self.counts.items()},
            "shared": {" and ".join(pair): vars(shared) for pair, shared in self.shared.items()},
            "visible": self.visible.round(6).tolist(),
            "most_pictures": [{"person": name, "pictures": count} for name, count in most],
        }


def population(faces: Faces) -> Population:
    """Counts the faces, pictures and people of a data set."""
    table = faces.table
    names, person = np.unique(table.subjects, return_inverse=True)
    parts = {"all": np.arange(len(table)), **{split: faces.splits[split] for split in SPLITS}}
    people, pictures = ({name: np.unique(ids[rows]) for name, rows in parts.items()} for ids in (person, table.images))
    width = int(table.images.max(initial=0)) + 1  # a person on a picture counts once
    pictures_of = np.bincount(np.unique(person * width + table.images) // width, minlength=len(names))
    order = np.argsort(-pictures_of, kind="stable")
    return Population(
        counts={name: Count(len(rows), len(pictures[name]), len(people[name])) for name, rows in parts.items()},
        shared={
            (a, b): Shared(*(len(np.intersect1d(ids[a], ids[b], assume_unique=True)) for ids in (pictures, people)))
            for a, b in combinations(SPLITS, 2)
        },
        names=names[order],
        pictures_of=pictures_of[order],
        visible=table.visible.mean(axis=0),
    )
