"""Tables and pictures of several sources, one after the other."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np

from fkd.data.cache import Keyed, Pictures
from fkd.data.dataset import InOrder
from fkd.data.faces import Faces
from fkd.data.split import Rows
from fkd.errors import UserError
from fkd.types import Annotations, Image


def joined(parts: Sequence[Faces]) -> tuple[Annotations, Pictures]:
    """The tables of some sources one after the other, and their pictures.

    Raises:
        UserError: some have grey pictures, others colours.
    """
    kinds = {each.name: "RGB" if each.images[0].ndim == 3 else "grey" for each in parts if len(each.images)}
    if len({*kinds.values()}) > 1:
        found = ", ".join(f"{kind} in {name}" for name, kind in kinds.items())
        raise UserError(f"channels: expected all sources grey or all RGB, found {found}; leave theirs at ${{channels}}")
    starts = np.cumsum([0, *(len(each.images) for each in parts)])
    tables = [replace(each.table, images=each.table.images + start) for each, start in zip(parts, starts, strict=False)]
    names = [field.name for field in fields(Annotations) if field.name != "schema"]
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    images = [each.images for each in parts]
    pictures = _JoinedInOrder(images) if any(isinstance(each, InOrder) for each in images) else _Joined(images)
    return Annotations(schema=tables[0].schema, **columns), pictures


class _Joined:
    """Pictures of some sources one after the other."""

    def __init__(self, parts: Sequence[Pictures]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    @property
    def key(self) -> str:
        """What stands for the pictures, as far as their sources tell."""
        return _digits(part.key if isinstance(part, Keyed) else "" for part in self._parts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Image:
        part = int(np.searchsorted(self._ends, index, "right"))
        return self._parts[part][index - self._start(part)]

    def _start(self, part: int) -> int:
        return int(self._ends[part]) - len(self._parts[part])


class _JoinedInOrder(_Joined):
    """The same, where a source wants its pictures read in an order of its own."""

    def __init__(self, parts: Sequence[Pictures]) -> None:
        super().__init__(parts)
        self.digest = _digits(part.digest if isinstance(part, InOrder) else "" for part in parts)

    def order(self, pictures: Rows, rng: np.random.Generator, world: int) -> Rows:
        """Each source's faces in its own order, the sources mixed evenly.

        A face that is given several times comes as often in its source's order, which may be near to itself.

        Args:
            pictures: (R,) the picture of each face.
            rng: gives the order.
            world: number of processes; each gets its share of every source's order.

        Returns:
            (R,) permutation of the faces; those that do not make up a whole round of their source come last.
        """
        shares, rest = [], []
        for number, part in enumerate(self._parts):
            start = self._start(number)
            rows = np.flatnonzero((start <= pictures) & (pictures < start + len(part)))
            if isinstance(part, InOrder):
                rows = rows[part.order(pictures[rows] - start, rng, world)]
            else:
                rows = rng.permutation(rows)
            whole = len(rows) // world * world
            shares.append(rows[:whole].reshape(-1, world))
            rest.append(rows[whole:])
        turn = rng.permutation(np.repeat(np.arange(len(shares)), [len(share) for share in shares]))
        order = np.concatenate(shares)
        order[np.argsort(turn, kind="stable")] = order.copy()  # a source's first turn shows its first faces, and so on
        return np.concatenate([order.ravel(), *rest])


def _digits(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
