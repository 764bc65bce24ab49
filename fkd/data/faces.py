"""What every source of data gives: a table of faces, their pictures, and who is in which split."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fkd.data.cache import ImageCache
from fkd.data.split import Rows, shared_subjects
from fkd.errors import UserError
from fkd.types import Annotations

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Faces:
    """A data set.

    Attributes:
        table: every annotated row, N faces.
        splits: "train", "val" and "test" -> their rows of the table.
        images: the decoded pictures that ``table.images`` points to.
        name: what config files call it.
        remarks: lines that a run prints, so that its figures are read for what they are.
    """

    table: Annotations
    splits: Mapping[str, Rows]
    images: ImageCache
    name: str
    remarks: tuple[str, ...]

    def subset(self, name: str) -> Annotations:
        """The rows of "train", "val" or "test", or "all".

        Raises:
            UserError: another name.
        """
        if name == "all":
            return self.table
        if name not in SPLITS:
            raise UserError(f"subset={name}: expected one of {', '.join(SPLITS)}, all")
        return self.table.take(self.splits[name])

    def fingerprints(self) -> dict[str, str]:
        """Split -> digits that two data sets share only if the very same faces, labels and order are in it."""
        subsets = {name: self.subset(name) for name in SPLITS}
        return {name: _digest(table.keypoints.tobytes(), *table.subjects) for name, table in subsets.items()}


def _digest(*parts: bytes | str) -> str:
    content = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(content).hexdigest()[:16]


def remark_on_people(table: Annotations, splits: Mapping[str, Rows]) -> str:
    """How many faces and people there are, and whom the test split shares with the others: it must be said aloud."""
    people = {split: table.subjects[rows] for split, rows in splits.items()}
    sizes = ", ".join(f"{len(people[split]):,} {split}" for split in SPLITS)
    start = f"{len(table):,} faces ({sizes}) of {len(np.unique(table.subjects)):,} people"
    shared = {split: len(shared_subjects(people["test"], people[split])) for split in ("train", "val")}
    if not any(shared.values()):
        return f"{start}; test shares none of them with train or val"
    tested = len(np.unique(people["test"]))
    whom = " and ".join(f"{count:,} of its {tested:,} people with {split}" for split, count in shared.items() if count)
    return (
        f"{start}; test shares {whom}: its figures measure memory of faces as well as skill"
        " (data.split=subject gives a person-disjoint test)"
    )
