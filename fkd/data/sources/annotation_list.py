"""Faces as annotation files list them, before they become a table."""

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
        image: name of the image's file below the dataset's root, with ``/``; or another name of the image.
        keypoints: (P, 2) photo pixels, the centre of the first pixel at (0, 0).
        visible: (P,) whether each point is known.
        split: "train", "val" or "test".
        size: width and height of the image if the file gives them, else (0, 0).
    """

    where: str
    image: str
    keypoints: npt.NDArray[np.floating]
    visible: npt.NDArray[np.bool_]
    split: str
    size: tuple[int, int] = (0, 0)


_COLUMNS = ("images", "keypoints", "visible", "splits", "sizes", "subjects")


@dataclass(frozen=True)
class Listing:
    """N faces in columns, see `Row`.

    Attributes:
        images: (N,) names.
        keypoints: (N, P, 2) float32.
        visible: (N, P).
        splits: (N,).
        sizes: (N, 2), (0, 0) where not given.
        subjects: (N,) names, None where not given.
        where: row -> the file and the place in it.
    """

    images: npt.NDArray[np.object_]
    keypoints: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    splits: npt.NDArray[np.str_]
    sizes: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.object_]
    where: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, rows: Iterable[Row], points: int) -> "Listing":
        """The columns of rows with `points` points each.

        Raises:
            UserError: a row has another number of points.
        """
        listed: list[Row] = []
        with np.errstate(over="ignore"):  # also for the reader of rows: too large numbers are infinite, refused later
            for row in rows:
                if (found := len(row.keypoints)) != points:
                    raise UserError(
                        f"{row.where}: expected {points} points, found {found}; choose the schema of these labels "
                        "(schema=NAME, conf/schema) or a mapping to it (data/mapping=NAME)"
                    )
                listed.append(row)
            keypoints = np.array([row.keypoints for row in listed]).astype(np.float32)
        return cls(
            images=np.array([row.image for row in listed], object),
            keypoints=keypoints.reshape(-1, points, 2),
            visible=np.array([row.visible for row in listed], bool).reshape(-1, points),
            splits=np.array([row.split for row in listed], np.str_),
            sizes=np.array([row.size for row in listed], np.int64).reshape(-1, 2),
            subjects=np.full(len(listed), None, object),
            where=[row.where for row in listed].__getitem__,
        )

    @classmethod
    def joined(cls, parts: Sequence["Listing"]) -> "Listing":
        """Several listings, one after the other."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *map(len, parts)])

        def where(row: int) -> str:
            part = int(np.searchsorted(starts, row, "right")) - 1
            return parts[part].where(row - int(starts[part]))

        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return cls(**columns, where=where)

    def take(self, keep: npt.NDArray[np.bool_]) -> "Listing":
        """The faces of a mask (N,)."""
        if keep.all():
            return self
        rows = np.flatnonzero(keep)
        return Listing(
            **{name: getattr(self, name)[keep] for name in _COLUMNS}, where=lambda row: self.where(int(rows[row]))
        )
