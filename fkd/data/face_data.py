"""The result of every data source: a table of faces, their images, and the splits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    """A dataset.

    Attributes:
        table: every annotated row, N faces.
        splits: "train", "val" and "test" -> their rows of the table; a dataset that is only viewed or scored may have
            no training rows.
        images: the decoded images that ``table.images`` points to.
        name: of the dataset, as in the config.
        remarks: lines that a run prints, because they matter for the meaning of its scores.
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
        return self.table if name == "all" else self.table.take(self._rows(name))

    def _rows(self, name: str) -> Rows:
        return rows_of(name, self.splits, len(self.table))

    def some(self, name: str) -> Annotations:
        """The rows of a subset that must not be empty.

        Raises:
            UserError: another name, or the subset is empty.
        """
        if not len(table := self.subset(name)):
            raise UserError(f"data={self.name}: expected faces in its {name} split, found none; give other data")
        return table

    def first(self, count: int) -> "Faces":
        """The first `count` training faces (all, if there are fewer) as every split, to overfit them."""
        rows = self.splits["train"][:count]
        remark = f"the first {len(rows)} training faces are overfitted: figures on them measure no skill"
        return replace(self, splits=dict.fromkeys(SPLITS, rows), remarks=(remark,))

    def sample(self, name: str) -> Points:
        """(N, K, 2) keypoints of "train", "val" or "test", at most 20,000 of them, evenly spread.

        Only of faces with all points visible, if there are 100 or more: a sample for statistics such as the mean shape.
        """
        rows = self.splits[name]
        whole = rows[self.table.visible[rows].all(axis=1)]
        if len(whole) >= _ENOUGH:
            rows = whole  # in the others hidden points are filled in
        if len(rows) > _SAMPLE:
            rows = rows[np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64)]
        return self.table.keypoints[rows]

    def fingerprints(self) -> dict[str, str]:
        """Split -> hash of its keypoints and subjects, in their order."""
        return {name: self.fingerprint(name) for name in SPLITS}

    def fingerprint(self, name: str) -> str:
        """The hash of "train", "val" or "test", or "all".

        Raises:
            UserError: another name.
        """
        rows = self._rows(name)
        pieces = np.split(rows, range(_PIECE, len(rows), _PIECE))  # one copy would be a second table
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(self.table.keypoints[piece].tobytes())
        for piece in pieces:
            digest.update("\0".join(["", *self.table.subjects[piece].tolist()]).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:16]


def rows_of(name: str, splits: Mapping[str, Rows], count: int) -> Rows:
    """The rows of a subset of `count` faces: of "train", "val" or "test", or "all".

    Raises:
        UserError: another name.
    """
    if name == "all":
        return np.arange(count)
    if name not in SPLITS:
        raise UserError(f"subset={name}: expected one of {', '.join(SPLITS)}, all")
    return splits[name]


def remark_on_subjects(table: Annotations, splits: Mapping[str, Rows], advice: str = "") -> str:
    """A line on the number of faces and subjects, and on subjects that the test split shares with others.

    `advice` is how to avoid shared subjects, if the source can.
    """
    subjects = {split: {*table.subjects[rows].tolist()} for split, rows in splits.items()}
    sizes = ", ".join(f"{len(splits[split]):,} {split}" for split in SPLITS)
    start = f"{len(table):,} faces ({sizes}) of {len({*table.subjects.tolist()}):,} subjects"
    if sum(map(bool, subjects.values())) < 2:
        return start
    shared = {split: len(subjects["test"] & subjects[split]) for split in ("train", "val")}
    if known := len(subjects["val"] & subjects["train"]):
        start += f"; val shares {known:,} of its {len(subjects['val']):,} subjects with train"
    if not any(shared.values()):
        return f"{start}; test shares none of them with train or val"
    tested = f"of its {len(subjects['test']):,} subjects"
    whom = " and ".join(f"{count:,} {tested} with {split}" for split, count in shared.items() if count)
    return f"{start}; test shares {whom}: its figures measure memory of faces as well as skill{advice}"
