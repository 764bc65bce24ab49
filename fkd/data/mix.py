"""Faces of another source beside those that a net is trained on."""

from dataclasses import fields, replace

import numpy as np

from fkd.data.cache import Pictures
from fkd.data.faces import Faces, remark_on_people
from fkd.data.split import shared_subjects
from fkd.errors import UserError
from fkd.types import Annotations, Image


def beside(faces: Faces, others: Faces) -> Faces:
    """The same data with all faces of another source in its training split; validation and test stay as they are.

    Raises:
        UserError: the points mean different things, or a person of the other source is in validation or test.
    """
    first, second = faces.table, others.table
    if first.schema != second.schema:
        raise UserError(
            f"mix: expected faces with the points of data={faces.name}, {first.schema.name}, found "
            f"{second.schema.name} in {others.name}; leave mix out or choose another source"
        )
    held_out = np.concatenate([faces.subset("val").subjects, faces.subset("test").subjects])
    if known := shared_subjects(held_out, second.subjects):
        raise UserError(
            f"mix: expected nobody of data={faces.name}'s val and test splits, found {len(known)} of their people in "
            f"{others.name} ({known[0]}, ...); choose another source, for drawn faces another mix.source.seed"
        )
    second = replace(second, images=second.images + len(faces.images))
    columns = [field.name for field in fields(Annotations) if field.name != "schema"]
    joined = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in columns}
    table = Annotations(schema=first.schema, **joined)
    train = np.concatenate([faces.splits["train"], len(first) + np.arange(len(second))])
    splits = {**faces.splits, "train": train}
    return Faces(
        table=table,
        splits=splits,
        images=_Joined(faces.images, others.images),
        name=faces.name,
        remarks=(
            remark_on_people(table, splits),  # in the place of that on the first source's alone
            *faces.remarks[1:],
            f"{len(second):,} faces of {others.name} are trained on, too",
        ),
    )


class _Joined:
    """Pictures of one cache and then those of another."""

    def __init__(self, first: Pictures, second: Pictures) -> None:
        self._first, self._second, self._start = first, second, len(first)

    def __len__(self) -> int:
        return self._start + len(self._second)

    def __getitem__(self, index: int) -> Image:
        return self._first[index] if index < self._start else self._second[index - self._start]
