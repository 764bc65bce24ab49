"""Lists of faces that are left out."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fkd.data.sources.parsing import text
from fkd.errors import UserError


@dataclass(frozen=True)
class Exclusion:
    """Faces that a file names, one a line: ``path``, or ``path<TAB>k`` for the k-th face, from 0 on, of an image.

    The number of a face counts as the same settings of the source list them. Empty lines and lines that start with a #
    and a space are comments. Names in double quotes may hold anything, as in CSV (RFC 4180): tabs, line breaks, a #.

    Attributes:
        path: the file.
        faces: names of images -> numbers of their faces (None: all) -> line.
    """

    path: str
    faces: dict[str, dict[int | None, int]]

    @classmethod
    def read(cls, path: str) -> "Exclusion":
        """The list in a file.

        Raises:
            UserError: the file is missing, or a line is not of that form.
        """
        faces: dict[str, dict[int | None, int]] = {}
        advice = "fkd explore writes one; data.exclude=null leaves nothing out"
        for line, (image, *numbers) in _entries(path, text(Path(path), "a list of faces", advice)):
            if any(len(numbers) > 1 or not number.isdecimal() or len(number) > 9 for number in numbers):
                found = "\t".join(numbers)[:40]
                raise UserError(f"{path} line {line}: expected a face's number after the tab, found {found!r}")
            faces.setdefault(image, {}).setdefault(int(numbers[0]) if numbers else None, line)
        return cls(path, faces)

    def keeps(self, images: Iterable[str]) -> npt.NDArray[np.bool_]:
        """(N,) whether each face stays, from the names of their images.

        Raises:
            UserError: the list names a face that is not among them.
        """
        seen: Counter[str] = Counter()
        kept = []
        for image in images:
            named = self.faces.get(image, {})
            kept.append(None not in named and seen[image] not in named)
            seen[image] += 1
        for image, numbers in self.faces.items():
            for number, line in numbers.items():
                if (number or 0) >= seen[image]:
                    what = repr(image) if number is None else f"face {number} of {image!r}"
                    raise UserError(
                        f"{self.path} line {line}: expected a face of the set, found {what}, which it does not have; "
                        "remove the line, or let fkd explore write the list anew with the same settings"
                    )
        return np.array(kept)


def _entries(path: str, content: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each entry; it may go over several lines."""
    lines = enumerate(StringIO(content, newline=""), 1)
    for number, line in lines:
        if not line.startswith('"'):
            line = line.rstrip()
            if not line or line == "#" or line.startswith("# "):
                continue
        try:
            yield number, next(csv.reader(chain([line], (more for _, more in lines)), delimiter="\t", strict=True))
        except csv.Error as error:
            raise UserError(
                f"{path} line {number}: expected the name of an image, with a quotation mark at its end if one is at "
                f"its start, found something else ({error})"
            ) from error
