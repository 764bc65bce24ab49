"""Faces of several sources as one."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np

from fkd.data.cache import Images, Keyed
from fkd.data.contents import digest
from fkd.data.dataset import InOrder
from fkd.data.face_data import SPLITS, Faces, remark_on_subjects
from fkd.data.split import Rows, shared_subjects
from fkd.errors import UserError
from fkd.terminal import progress
from fkd.types import Annotations, Image

_LONGEST = 100
"""How often an epoch may show all faces, on average: beyond, a weight is a slip, and rows would fill the memory."""


def beside(faces: Faces, others: Faces) -> Faces:
    """The same data with all faces of another source in its training split; validation and test stay as they are.

    Raises:
        UserError: the points mean different things, or a subject of the other source is in validation or test.
    """
    first, second = faces.table, others.table
    if first.schema != second.schema:
        raise UserError(
            f"extra_train: expected faces with the points of data={faces.name}, {first.schema.name}, found "
            f"{second.schema.name} in {others.name}; leave extra_train out or choose another source"
        )
    held_out = np.concatenate([faces.subset("val").subjects, faces.subset("test").subjects])
    if known := shared_subjects(held_out, second.subjects):
        raise UserError(
            f"extra_train: expected nobody of data={faces.name}'s val and test splits, found {len(known)} of their "
            f"subjects in {others.name} ({known[0]}, ...); choose another source, for synthetic faces another "
            "extra_train.seed"
        )
    table, images = joined([faces, others])
    train = np.concatenate([faces.splits["train"], len(first) + np.arange(len(second))])
    splits = {**faces.splits, "train": train}
    return Faces(
        table=table,
        splits=splits,
        images=images,
        name=faces.name,
        remarks=(
            remark_on_subjects(table, splits),  # in the place of that on the first source's alone
            *faces.remarks[1:],
            f"{len(second):,} faces of {others.name} are trained on, too",
        ),
    )


def mixed(sources: Mapping[str, Mapping[str, Any]], weights: Mapping[str, float] | None) -> Faces:
    """Several sources as one, each split made of theirs.

    Args:
        sources: name -> its config, whose "source" has been built: `Faces`.
        weights: name -> its share of the faces that an epoch shows, relative to the others'; an epoch is as long as it
            takes to show every face of every source once, and the sources with too few for their share repeat theirs.
            None: each face once.

    Raises:
        UserError: no sources, points that mean different things, somebody whom one source trains on and another tests
            on, or weights that are no numbers above 0 for each source.
    """
    parts: dict[str, Faces] = {}
    for name, content in sources.items() if isinstance(sources, Mapping) else ():
        if not isinstance(faces := content.get("source") if isinstance(content, Mapping) else None, Faces):
            raise UserError(f"data.sources.{name}: expected a data set as in conf/data, found {faces!r}")
        parts[name] = faces
    if not parts:
        raise UserError("data.sources: expected one or more data sets, found none")
    first, *others = parts.values()
    for other in others:
        if other.table.schema != first.table.schema:
            raise UserError(
                f"data.sources: expected {other.name} with the points of {first.name}, {first.table.schema.name}, "
                f"found {other.table.schema.name}; give it a mapping (data/mapping) or leave it out"
            )
    parts = _named_apart(parts)
    _check_held_out(parts)
    table, images = joined([*parts.values()])
    starts = np.cumsum([0, *(len(each.table) for each in parts.values())])
    splits = {
        split: np.concatenate([start + each.splits[split] for start, each in zip(starts, parts.values(), strict=False)])
        for split in SPLITS
    }
    remarks = [
        remark_on_subjects(table, splits),
        *(f"{name}: {line}" for name, each in parts.items() for line in each.remarks),
    ]
    if weights is not None:
        times = _times({name: len(each.splits["train"]) for name, each in parts.items()}, weights)
        train = [
            start + _repeated(parts[name].splits["train"], n)
            for start, (name, n) in zip(starts, times.items(), strict=False)
        ]
        splits["train"] = np.concatenate(train)
        shown = ", ".join(f"{name}'s {n:.3g} times" for name, n in times.items())
        remarks.append(f"an epoch shows {len(splits['train']):,} faces: {shown}")
    return Faces(table, splits, images, "mix", tuple(remarks))


def _named_apart(parts: Mapping[str, Faces]) -> dict[str, Faces]:
    """The same, where a set whose subjects are its images calls them after itself if another has some of these names.

    `1.png` of two folders is two subjects. Names that no other set has stay as they are, so that a net is still known
    to have seen them; and so do those of sets that show the same faces, or they take one name between them.
    """
    by_image = {name for name, faces in parts.items() if (faces.table.subjects == faces.table.paths).all()}
    called = {name: name for name in parts}  # after the first of the sets that show the same faces
    apart = set()
    for one, other in combinations(parts, 2):
        shared = shared_subjects(parts[one].table.subjects, parts[other].table.subjects)
        if not shared or by_image.isdisjoint((one, other)):
            continue
        if _is_same(parts[one], parts[other], shared):
            called = {name: called[one] if first == called[other] else first for name, first in called.items()}
        else:
            apart |= {one, other}
    renamed = {**parts}
    for name in by_image:
        if not apart.isdisjoint(other for other, first in called.items() if first == called[name]):
            table = parts[name].table
            subjects = np.char.add(f"{called[name]}/", table.subjects.astype(np.str_))
            renamed[name] = replace(parts[name], table=replace(table, subjects=subjects))
    return renamed


def _is_same(one: Faces, other: Faces, shared: Sequence[str]) -> bool:
    """Whether two sets show the same of subjects whose names they share: a face with the very labels, or an image.

    Labels, since other compression changes each pixel; images, since other files of labels round them otherwise.
    Only images of shared names are read, until the first is found.
    """
    first, second = (
        {faces.table.keypoints[row].tobytes() for row in np.flatnonzero(np.isin(faces.table.subjects, shared))}
        for faces in (one, other)
    )
    if not first.isdisjoint(second):
        return True
    ones, others = _images_of(one.table, shared), _images_of(other.table, shared)
    with progress("Comparing images", len(shared)) as advance:
        for name in shared:
            shown = {digest(one.images[image]) for image in ones[name]}
            if any(digest(other.images[image]) in shown for image in others[name]):
                return True
            advance()
    return False


def _images_of(table: Annotations, subjects: Sequence[str]) -> dict[str, dict[int, None]]:
    """Name -> the numbers of its images, each once and in order."""
    images: dict[str, dict[int, None]] = {name: {} for name in subjects}
    for name, image in zip(table.subjects.tolist(), table.images.tolist(), strict=True):
        if name in images:
            images[name][image] = None
    return images


def _check_held_out(parts: Mapping[str, Faces]) -> None:
    for name, faces in parts.items():
        held_out = np.concatenate([faces.subset("val").subjects, faces.subset("test").subjects])
        for other, trained in parts.items():
            known = shared_subjects(held_out, trained.subset("train").subjects) if other != name else []
            if known:
                raise UserError(
                    f"data.sources: expected nobody of {name}'s val and test splits in {other}'s training, found "
                    f"{len(known)} ({known[0]}, ...); let both hold out the same subjects, or leave one out"
                )


def _times(faces: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, float]:
    """How often an epoch shows each source's faces: once at least, if it has any to train on."""
    is_whole = isinstance(weights, Mapping) and weights.keys() == faces.keys()
    if not is_whole or not all(isinstance(w, int | float) and 0 < w < np.inf for w in weights.values()):
        raise UserError(f"data.weights: expected a number above 0 for each of {', '.join(faces)}, found {weights}")
    length = max(count / weights[name] for name, count in faces.items())
    total, shown = sum(faces.values()), length * sum(weights.values())
    if shown > _LONGEST * total:
        raise UserError(
            f"data.weights: expected an epoch of at most {_LONGEST} times the {total:,} training faces, found "
            f"{shown:.3g} faces; choose weights nearer to each other"
        )
    return {name: length * weights[name] / count if count else 0.0 for name, count in faces.items()}


def _repeated(rows: Rows, times: float) -> Rows:
    """The rows, whole times; and evenly spread ones of them once more for what is left."""
    whole = int(times)
    more = round((times - whole) * len(rows))
    return np.concatenate([*[rows] * whole, rows[np.arange(more) * len(rows) // max(more, 1)]])


def joined(parts: Sequence[Faces]) -> tuple[Annotations, Images]:
    """The tables of some sources one after the other, and their images.

    Raises:
        UserError: some have grey images, others colours.
    """
    kinds = {each.name: "RGB" if each.images[0].ndim == 3 else "grey" for each in parts if len(each.images)}
    if len({*kinds.values()}) > 1:
        found = ", ".join(f"{kind} in {name}" for name, kind in kinds.items())
        raise UserError(f"channels: expected all sources grey or all RGB, found {found}; leave theirs at ${{channels}}")
    starts = np.cumsum([0, *(len(each.images) for each in parts)])
    tables = [replace(each.table, images=each.table.images + start) for each, start in zip(parts, starts, strict=False)]
    names = [field.name for field in fields(Annotations) if field.name != "schema"]
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    each_images = [each.images for each in parts]
    images = (
        _JoinedInOrder(each_images) if any(isinstance(each, InOrder) for each in each_images) else _Joined(each_images)
    )
    return Annotations(schema=tables[0].schema, **columns), images


class _Joined:
    """Images of some sources one after the other."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    @property
    def key(self) -> str:
        """What stands for the images, as far as their sources tell."""
        return _digits(part.key if isinstance(part, Keyed) else "" for part in self._parts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Image:
        part = int(np.searchsorted(self._ends, index, "right"))
        return self._parts[part][index - self._start(part)]

    def _start(self, part: int) -> int:
        return int(self._ends[part]) - len(self._parts[part])


class _JoinedInOrder(_Joined):
    """The same, where a source wants its images read in an order of its own."""

    def __init__(self, parts: Sequence[Images]) -> None:
        super().__init__(parts)
        self.digest = _digits(part.digest if isinstance(part, InOrder) else "" for part in parts)

    def order(self, images: Rows, rng: np.random.Generator, world: int) -> Rows:
        """Each source's faces in its own order, the sources mixed evenly.

        A face that is given several times comes as often in its source's order, which may be near to itself.

        Args:
            images: (R,) the image of each face.
            rng: gives the order.
            world: number of processes; each gets its share of every source's order.

        Returns:
            (R,) permutation of the faces; those that do not make up a whole round of their source come last.
        """
        shares, rest = [], []
        for number, part in enumerate(self._parts):
            start = self._start(number)
            rows = np.flatnonzero((start <= images) & (images < start + len(part)))
            if isinstance(part, InOrder):
                rows = rows[part.order(images[rows] - start, rng, world)]
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
