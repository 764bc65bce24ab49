"""Several datasets as one."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np

from fkd.data.cache import Images, Keyed
from fkd.data.dataset import InOrder
from fkd.data.face_data import SPLITS, Faces, remark_on_subjects
from fkd.data.image_hashes import digest
from fkd.data.split import Rows, shared_subjects
from fkd.errors import UserError
from fkd.terminal import progress
from fkd.types import Annotations, Image

_LONGEST = 100  # times that an epoch may show all faces on average; more is a wrong weight, and would fill the memory


def beside(faces: Faces, others: Faces) -> Faces:
    """A dataset with all faces of another one added to its training split; validation and test stay the same.

    Raises:
        UserError: the schemas differ, or a subject of the other dataset is in validation or test.
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
    added = f"{len(second):,} faces of {others.name} are trained on, too"
    return Faces(table, splits, images, faces.name, (remark_on_subjects(table, splits), *faces.remarks[1:], added))


def mixed(sources: Mapping[str, Mapping[str, Any]], weights: Mapping[str, float] | None) -> Faces:
    """Several sources as one, each split joined from theirs.

    Args:
        sources: name -> its config with "source" already built: `Faces`.
        weights: name -> relative share of the faces that an epoch shows. An epoch shows every face at least once;
            sources with too few faces for their share repeat them. None: each face once.

    Raises:
        UserError: no sources, different schemas, a subject in one source's training and another's validation or test,
            or weights that are no numbers above 0 for each source.
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
    starts = dict(zip(parts, np.cumsum([0, *(len(each.table) for each in parts.values())]), strict=False))
    splits = {
        split: np.concatenate([starts[name] + each.splits[split] for name, each in parts.items()]) for split in SPLITS
    }
    remarks = [
        remark_on_subjects(table, splits),
        *(f"{name}: {line}" for name, each in parts.items() for line in each.remarks),
    ]
    if weights is not None:
        times = _times({name: len(each.splits["train"]) for name, each in parts.items()}, weights)
        train = [starts[name] + _repeated(parts[name].splits["train"], n) for name, n in times.items()]
        splits["train"] = np.concatenate(train)
        shown = ", ".join(f"{name}'s {n:.3g} times" for name, n in times.items())
        remarks.append(f"an epoch shows {len(splits['train']):,} faces: {shown}")
    return Faces(table, splits, images, "mix", tuple(remarks))


def _named_apart(parts: Mapping[str, Faces]) -> dict[str, Faces]:
    """The same, with subjects renamed where they are images and another source has some of their names.

    `1.png` of two folders is two subjects, and gets the name of its source in front. Names that no other source has
    stay, so that they are still known as seen by a net. Sources with the same faces keep common names, too, or get the
    name of the first of them.
    """
    by_image = {name for name, faces in parts.items() if (faces.table.subjects == faces.table.paths).all()}
    called = {name: name for name in parts}  # sources with the same faces: the first of them
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
    """Whether two sources have the same faces under the shared names: a face with equal labels, or an equal image.

    Other compression changes pixels but not labels; other label files may round labels but have the same images. Only
    images with shared names are read, until an equal one is found.
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


def _images_of(table: Annotations, subjects: Sequence[str]) -> dict[str, set[int]]:
    """Subject -> the numbers of its images."""
    images: dict[str, set[int]] = {name: set() for name in subjects}
    for name, image in zip(table.subjects.tolist(), table.images.tolist(), strict=True):
        if name in images:
            images[name].add(image)
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
    """How often an epoch shows the faces of each source, from the number of its training faces."""
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
    """The rows, repeated as often as whole numbers allow; for the rest evenly spread rows once more."""
    whole = int(times)
    more = round((times - whole) * len(rows))
    return np.concatenate([*[rows] * whole, rows[np.arange(more) * len(rows) // max(more, 1)]])


def joined(parts: Sequence[Faces]) -> tuple[Annotations, Images]:
    """The tables of some datasets one after the other, and their images.

    Raises:
        UserError: some have grey and others RGB images.
    """
    kinds = {each.name: "RGB" if each.images[0].ndim == 3 else "grey" for each in parts if len(each.images)}
    if len({*kinds.values()}) > 1:
        found = ", ".join(f"{kind} in {name}" for name, kind in kinds.items())
        raise UserError(f"channels: expected all sources grey or all RGB, found {found}; leave theirs at ${{channels}}")
    starts = np.cumsum([0, *(len(each.images) for each in parts)])
    tables = [replace(each.table, images=each.table.images + start) for each, start in zip(parts, starts, strict=False)]
    names = [field.name for field in fields(Annotations) if field.name != "schema"]
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    kind = _JoinedInOrder if any(isinstance(each.images, InOrder) for each in parts) else _Joined
    return Annotations(schema=tables[0].schema, **columns), kind([each.images for each in parts])


class _Joined:
    """Images of some datasets one after the other."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    @property
    def key(self) -> str:
        """A hash of the keys that the datasets have."""
        return _hash(part.key if isinstance(part, Keyed) else "" for part in self._parts)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Image:
        part = int(np.searchsorted(self._starts, index, "right")) - 1
        return self._parts[part][index - int(self._starts[part])]


class _JoinedInOrder(_Joined):
    """The same for datasets of which one must be read in a certain order."""

    def __init__(self, parts: Sequence[Images]) -> None:
        super().__init__(parts)
        self.digest = _hash(part.digest if isinstance(part, InOrder) else "" for part in parts)

    def order(self, images: Rows, rng: np.random.Generator, world: int) -> Rows:
        """The faces of each dataset in its own order, the datasets mixed evenly.

        The order of a dataset may put repeats of a face near each other.

        Args:
            images: (R,) the image of each face.
            rng: gives the order.
            world: world size; each process gets its share of every dataset's order.

        Returns:
            (R,) permutation of the faces; those that do not fill a round of all processes come last.
        """
        shares, rest = [], []
        for start, part in zip(self._starts, self._parts, strict=False):
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
        order[np.argsort(turn, kind="stable")] = order.copy()  # each dataset keeps its order
        return np.concatenate([order.ravel(), *rest])


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
