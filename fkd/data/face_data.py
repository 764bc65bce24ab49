"""What every source of data gives: a table of faces, their images, and who is in which split."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fkd.data.cache import Images
from fkd.data.split import Rows
from fkd.errors import UserError
from fkd.types import Annotations, Points

SPLITS = ("train", "val", "test")
_SAMPLE = 20_000
_PIECE = 1_000  # rows
_ENOUGH = 100


@dataclass(frozen=True)
class Faces:
    """A data set.

    Attributes:
        table: every annotated row, N faces.
        splits: "train", "val" and "test" -> their rows of the table; a set that is only looked at or scored may have no
            training rows.
        images: the decoded images that ``table.images`` points to.
        name: what config files call it.
        remarks: lines that a run prints, so that its figures are read for what they are.
    """

    table: Annotations
    splits: Mapping[str, Rows]
    images: Images
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

    def some(self, name: str) -> Annotations:
        """The same, which must have faces.

        Raises:
            UserError: another name, or there are none.
        """
        if not len(table := self.subset(name)):
            raise UserError(f"data={self.name}: expected faces in its {name} split, found none; give other data")
        return table

    def sample(self, name: str) -> Points:
        """(N, K, 2) keypoints of "train", "val" or "test"; of a larger split 20,000, evenly spread.

        Only of faces all of whose points are visible, where there are 100 or more of them. For what describes faces as
        a whole, such as their mean shape: more would change it no more.
        """
        rows = self.splits[name]
        whole = rows[self.table.visible[rows].all(axis=1)]
        if len(whole) >= _ENOUGH:
            rows = whole  # the hidden points of the others are filled in
        if len(rows) > _SAMPLE:
            rows = rows[np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64)]
        return self.table.keypoints[rows]

    def fingerprints(self) -> dict[str, str]:
        """Split -> digits that two data sets share only if the very same faces, labels and order are in it."""
        return {name: self._digest(self.splits[name]) for name in SPLITS}

    def _digest(self, rows: Rows) -> str:
        """Of all keypoints and then of all names; piece by piece, since a copy would be a second table."""
        pieces = np.split(rows, range(_PIECE, len(rows), _PIECE))
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(self.table.keypoints[piece].tobytes())
        for piece in pieces:
            digest.update("\0".join(["", *self.table.subjects[piece].tolist()]).encode())
        return digest.hexdigest()[:16]


def remark_on_subjects(table: Annotations, splits: Mapping[str, Rows], advice: str = "") -> str:
    """How many faces and subjects there are, and whom the test split shares with the others: it must be said aloud.

    `advice` says how to avoid that, where the source knows.
    """
    subjects = {split: {*table.subjects[rows].tolist()} for split, rows in splits.items()}
    sizes = ", ".join(f"{len(splits[split]):,} {split}" for split in SPLITS)
    start = f"{len(table):,} faces ({sizes}) of {len({*table.subjects.tolist()}):,} subjects"
    if sum(map(bool, subjects.values())) < 2:
        return start  # one split shares nobody with the others
    shared = {split: len(subjects["test"] & subjects[split]) for split in ("train", "val")}
    if known := len(subjects["val"] & subjects["train"]):
        start += f"; val shares {known:,} of its {len(subjects['val']):,} subjects with train"
    if not any(shared.values()):
        return f"{start}; test shares none of them with train or val"
    tested = len(subjects["test"])
    whom = " and ".join(
        f"{count:,} of its {tested:,} subjects with {split}" for split, count in shared.items() if count
    )
    return f"{start}; test shares {whom}: its figures measure memory of faces as well as skill{advice}"
