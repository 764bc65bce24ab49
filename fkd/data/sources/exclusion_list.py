"""Lists of faces that are left out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.data.sources.parsing import text
from fkd.errors import UserError

_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Exclusion:
    """Faces that a file names, one a line: ``path``, or ``path<TAB>k`` for the k-th face, from 0 on, of an image.

    The number of a face counts as the same settings of the source list them. Empty lines and lines that start with a #
    and a space are comments.

    Attributes:
        path: the file.
        faces: names of images -> numbers of their faces; None: all.
    """

    path: str
    faces: dict[str, set[int] | None]

    @classmethod
    def read(cls, path: str) -> "Exclusion":
        """The list in a file.

        Raises:
            UserError: the file is missing, or a line has no number after its tab.
        """
        faces: dict[str, set[int] | None] = {}
        advice = "scripts/explore.py writes one; data.exclude=null leaves nothing out"
        for number, line in enumerate(text(Path(path), "a list of faces", advice).splitlines(), 1):
            image, tab, face = line.rstrip().partition("\t")
            if not image or image == "#" or image.startswith("# "):
                continue
            if tab and not face.isdecimal():
                raise UserError(f"{path} line {number}: expected a face's number after the tab, found {face!r}")
            known = faces.setdefault(image, set())
            faces[image] = None if known is None or not tab else known | {int(face)}
        return cls(path, faces)

    def keeps(self, images: Iterable[str]) -> npt.NDArray[np.bool_]:
        """(N,) whether each face stays, from the names of their images.

        Raises:
            UserError: the list names a face that is not among them.
        """
        seen: Counter[str] = Counter()
        kept = []
        for image in images:
            named = self.faces.get(image, _NONE)
            kept.append(named is not None and seen[image] not in named)
            seen[image] += 1
        for image, numbers in self.faces.items():
            if max(numbers or {0}) >= seen[image]:
                what = f"face {max(numbers)} of {image}" if numbers else image
                raise UserError(
                    f"{self.path}: expected faces of the set, found {what}, which it does not have; remove the line, "
                    "or let scripts/explore.py write the list anew with the same settings"
                )
        return np.array(kept)
