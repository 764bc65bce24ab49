"""What a run over many images comes to: counts, and what could not be done."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.types import Face

_SHOWN = 20
"""Failures that are shown (all of them are in the file), and images without a face."""


class Tally:
    """Counts images, their faces and the seconds since it was made, and keeps the reasons of failures.

    Args:
        noun: what one of them is called, "image" or "frame".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.images = self.faces = self.without = 0
        self._bare: list[str] = []  # the first of those without a face
        self.failures: list[str] = []
        self._start = time.monotonic()

    def add(self, name: str, faces: Sequence[Face]) -> None:
        """An image that was done."""
        self.images += 1
        self.faces += len(faces)
        self.without += not faces
        if not faces and len(self._bare) < _SHOWN:
            self._bare.append(name)

    def summary(self) -> str:
        """One line, and one with those that have no face: a filter has left them as they were."""
        seconds = time.monotonic() - self._start
        rate = self.images / seconds if seconds else 0.0
        images, without = _several(self.images, self.noun), _several(self.without, self.noun)
        return (
            f"{images}, {_several(self.faces, 'face')}, {without} without a face; "
            f"{seconds:,.1f} s, {rate:,.1f} {self.noun}s/s{self._without()}"
        )

    def _without(self) -> str:
        if not self._bare:
            return ""
        more = self.without - len(self._bare)
        return f"\nno face found: {', '.join(self._bare)}{f', and {more:,} more' if more else ''}"

    def report_failures(self, folder: Path) -> str | None:
        """Says on standard error what failed, and leaves all of it in `failed.txt`; one of a run before is removed.

        Returns:
            All of it in one line, if anything failed.

        Raises:
            UserError: the file cannot be written.
        """
        file = folder / "failed.txt"
        try:
            file.unlink(missing_ok=True)
            if len(self.failures) < 2:
                return self.failures[0] if self.failures else None
            with whole_file(file) as all_of_them:
                all_of_them.writelines(os.fsencode(f"{line}\n") for line in self.failures)
        except OSError as error:
            seen = f"; {len(self.failures):,} failed, the first: {self.failures[0]}" if self.failures else ""
            raise UserError(f"{file}: cannot be written ({error.strerror}){seen}") from error
        for line in self.failures[:_SHOWN]:
            print(line, file=sys.stderr)
        more = len(self.failures) - _SHOWN
        if more > 0:
            print(f"... and {more:,} more", file=sys.stderr)
        return f"{_several(len(self.failures), self.noun)} failed, the others are done; all reasons are in {file}"


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
