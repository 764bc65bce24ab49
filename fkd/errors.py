"""Exceptions that end a run with one line instead of a traceback."""


class UserError(ValueError):
    """Input that cannot be used: one line with the file, row or key, what was expected and found, and what to do.

    Scripts print the line without a traceback and leave with exit status 2.
    """


class Diverged(RuntimeError):  # noqa: N818 (what happened, as KeyboardInterrupt)
    """Training ran into values that are not finite: one line that names the value and the epoch, and what to try.

    Scripts print the line without a traceback and leave with exit status 1.
    """
