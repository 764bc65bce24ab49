"""Faces as annotation files list them, before anything is made of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError


@dataclass(frozen=True, slots=True)
class Row:
    """One face.

    Attributes:
        where: the file and the place in it, for messages.
        image: name of the image's file below the set's root, with ``/``; or of what else holds it.
        keypoints: (P, 2) photo pixels, the centre of the first pixel at (0, 0).
        visible: (P,) which points are known.
        split: "train", "val" or "test".
        size: width and height of the image as the file says, (0, 0) if it does not.
        subject: name of the subject, if the file says it.
    """

    where: str
    image: str
    keypoints: npt.NDArray[np.floating]
    visible: npt.NDArray[np.bool_]
    split: str
    size: tuple[int, int] = (0, 0)
    subject: str | None = None


@dataclass(frozen=True)
class Listing:
    """N faces in columns, see `Row`.

    Attributes:
        images: N names.
        keypoints: (N, P, 2) float32.
        visible: (N, P).
        splits: (N,).
        sizes: (N, 2), zero where not said.
        subjects: N names, None where not said.
        where: row -> the file and the place in it.
    """

    images: Sequence[str]
    keypoints: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    splits: npt.NDArray[np.str_]
    sizes: npt.NDArray[np.int64]
    subjects: Sequence[str | None]
    where: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, rows: Iterable[Row], points: int) -> "Listing":
        """The columns of rows that must have so many points.

        Raises:
            UserError: one has others.
        """
        listed: list[Row] = []
        for row in rows:
            check_count(len(row.keypoints), points, row.where)
            listed.append(row)
        with np.errstate(over="ignore"):  # what is that large is refused later
            keypoints = np.array([row.keypoints for row in listed]).astype(np.float32)
        return cls(
            images=[row.image for row in listed],
            keypoints=keypoints.reshape(-1, points, 2),
            visible=np.array([row.visible for row in listed], bool).reshape(-1, points),
            splits=np.array([row.split for row in listed], np.str_),
            sizes=np.array([row.size for row in listed], np.int64).reshape(-1, 2),
            subjects=[row.subject for row in listed],
            where=[row.where for row in listed].__getitem__,
        )

    @classmethod
    def joined(cls, parts: Sequence["Listing"]) -> "Listing":
        """Several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        ends = np.cumsum([len(part) for part in parts])

        def where(row: int) -> str:
            part = int(np.searchsorted(ends, row, "right"))
            return parts[part].where(row - int(ends[part]) + len(parts[part]))

        return cls(
            images=[name for part in parts for name in part.images],
            keypoints=np.concatenate([part.keypoints for part in parts]),
            visible=np.concatenate([part.visible for part in parts]),
            splits=np.concatenate([part.splits for part in parts]),
            sizes=np.concatenate([part.sizes for part in parts]),
            subjects=[name for part in parts for name in part.subjects],
            where=where,
        )

    def take(self, keep: npt.NDArray[np.bool_]) -> "Listing":
        """The faces of a mask (N,)."""
        if keep.all():
            return self
        rows = np.flatnonzero(keep).tolist()
        return Listing(
            images=[self.images[row] for row in rows],
            keypoints=self.keypoints[keep],
            visible=self.visible[keep],
            splits=self.splits[keep],
            sizes=self.sizes[keep],
            subjects=[self.subjects[row] for row in rows],
            where=lambda row: self.where(rows[row]),
        )


def check_count(found: int, expected: int, where: str) -> None:
    """Makes sure that a face has as many points as it should.

    Raises:
        UserError: it has others.
    """
    if found != expected:
        raise UserError(
            f"{where}: expected {expected} points, found {found}; choose the schema of these labels (schema=NAME, "
            "conf/schema) or a mapping to it (data/mapping=NAME)"
        )
