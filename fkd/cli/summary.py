"""Summary of a run over many images: counts, and the images that failed."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.terminal import one_line, tell
from fkd.types import Face

_SHOWN = 20
"""Largest number of failures, and of images without a face, that are printed."""


class Tally:
    """Counts images, their faces and the seconds since it was created, and collects errors.

    Args:
        noun: "image" or "frame".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.images = self.faces = self.without = 0
        self._without: list[str] = []  # names of the first images without a face
        self.failures: list[str] = []
        self._start = time.monotonic()

    def add(self, name: str, faces: Sequence[Face]) -> None:
        """Count an image and its faces."""
        self.images += 1
        self.faces += len(faces)
        self.without += not faces
        if not faces and len(self._without) < _SHOWN:
            self._without.append(one_line(name))

    def fail(self, reason: object) -> None:
        """Note why an image failed."""
        self.failures.append(one_line(str(reason)))

    def summary(self) -> str:
        """One line of counts, and one that names images without a face."""
        seconds = time.monotonic() - self._start
        rate = self.images / seconds if seconds else 0.0
        images, without = _several(self.images, self.noun), _several(self.without, self.noun)
        line = (
            f"{images}, {_several(self.faces, 'face')}, {without} without a face; "
            f"{seconds:,.1f} s, {rate:,.1f} {self.noun}s/s"
        )
        more = self.without - len(self._without)
        names = ", ".join([*self._without, *([f"and {more:,} more"] if more else [])])
        return f"{line}\nno face found: {names}" if names else line

    def report_failures(self, folder: Path) -> str | None:
        """Print errors to standard error and write all to `failed.txt`, which replaces that of an earlier run.

        Returns:
            One line about all errors; None if there are none.

        Raises:
            UserError: the file cannot be written.
        """
        file = folder / "failed.txt"
        try:
            file.unlink(missing_ok=True)
            if len(self.failures) < 2:
                return self.failures[0] if self.failures else None
            with whole_file(file) as stream:
                stream.writelines(os.fsencode(f"{line}\n") for line in self.failures)
        except OSError as error:
            seen = f"; {len(self.failures):,} failed, the first: {self.failures[0]}" if self.failures else ""
            raise UserError(f"{file}: cannot be written ({error.strerror}){seen}") from error
        for line in self.failures[:_SHOWN]:
            tell(line, is_error=True)
        more = len(self.failures) - _SHOWN
        if more > 0:
            tell(f"... and {more:,} more", is_error=True)
        return f"{_several(len(self.failures), self.noun)} failed, the others are done; all reasons are in {file}"


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
