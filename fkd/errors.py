"""Exceptions that end a run with one line instead of a traceback."""


class UserError(ValueError):
    """Input that cannot be used: one line with the file, row or key, what was expected and found, and what to do.

    Scripts print the line without a traceback and leave with exit status 2.
    """

    status = 2


BAD_OBJECTIVE = 1e9
"""What a sweep is told of a job that failed or diverged: finite, and worse than all others."""


class Stopped(RuntimeError):  # noqa: N818 (what happened, as KeyboardInterrupt)
    """A training ended before its time: one line that says why, and what to do.

    Scripts print the line without a traceback and leave with exit status 1.
    """

    status = 1


class FacesVisibleError(RuntimeError):
    """Faces were to be hidden, and images were written that may show some: one line that says how many.

    Scripts print the line without a traceback and leave with exit status 3.
    """

    status = 3


class Diverged(Stopped):
    """Training ran into values that are not finite: the line names the value and the epoch, and what to try."""


class Pruned(Stopped):
    """A sweep gave up on the run, since others were better at the same epoch."""


class Interrupted(Stopped):
    """A signal asked for the end; what was learned so far has been saved, and the run can go on later."""


def short(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
