"""Exceptions that end a run with one line instead of a traceback."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_HIDDEN = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, those that turn the direction of writing, and halves of surrogate pairs."""


class UserError(ValueError):
    """Input that cannot be used: one line with the file, row or key, what was expected and found, and what to do.

    Scripts print the line without a traceback and leave with exit status 2.
    """

    status = 2


@contextmanager
def of_the_user() -> Iterator[None]:
    """A block in which a ValueError, whose message is such a line, becomes a UserError."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from error


BAD_OBJECTIVE = 1e9
"""Objective of a sweep's job that failed or diverged: finite, and worse than all others."""


class Stopped(RuntimeError):  # noqa: N818 (named like KeyboardInterrupt)
    """A training ended early: one line that says why, and what to do.

    Scripts print the line without a traceback and leave with exit status 1.
    """

    status = 1


class FacesVisibleError(RuntimeError):
    """Images were written that may show faces which were to be hidden: one line with their number.

    Scripts print the line without a traceback and leave with exit status 3.
    """

    status = 3


class Diverged(Stopped):
    """Training reached values that are not finite: the line names the value, the epoch and what to try."""


class Pruned(Stopped):
    """A sweep stopped the run, since others were better at the same epoch."""


class Interrupted(Stopped):
    """A signal interrupted the run, which has saved a checkpoint and can be resumed."""


def short(value: object) -> str:
    """A value in at most 60 characters, for messages."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A question with the most similar choices, at most 3, as "did you mean compact?"; "" if none is similar."""
    near = difflib.get_close_matches(name, list(choices), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else ""


def printable(text: str, encoding: str = "utf-8") -> str:
    """The text with escapes, as in \\x1b, for characters that would control a terminal or change the order of others.

    Names of files and the content of files may hold any character, so all output goes through this. Characters that the
    encoding lacks become escapes, too.
    """
    return _HIDDEN.sub(as_escapes, text).encode(encoding, "backslashreplace").decode(encoding)


def as_escapes(found: re.Match[str]) -> str:
    """A match as escapes, as in \\x1b."""
    return found[0].encode("unicode-escape").decode()
