"""Output in the terminal: tables, lines and progress bars; and interruption of long tasks."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

from rich import console as rich_console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment
from rich.text import Text

from fkd.errors import as_escapes, printable

_BREAK = re.compile(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Characters at which `str.splitlines` splits."""


def one_line(text: str) -> str:
    """The text with escapes, as in \\n, for characters that would end its line in a file of lines."""
    return _BREAK.sub(as_escapes, text)


class Console(rich_console.Console):
    """Rich's console, whose texts are `printable`; in a notebook it writes text, too: no HTML, no moving bars."""

    def __init__(self, **settings: Any) -> None:
        if "ipykernel" in sys.modules:  # Rich would display HTML, even if the console's file is another one
            settings |= {"force_jupyter": False, "force_terminal": False}
        super().__init__(**settings)

    def render(
        self, renderable: rich_console.RenderableType, options: rich_console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, Text) and (safe := printable(renderable.plain, self.encoding)) != renderable.plain:
            renderable = Text(safe, renderable.style, overflow=renderable.overflow, no_wrap=renderable.no_wrap)
        return super().render(
            printable(renderable, self.encoding) if isinstance(renderable, str) else renderable, options
        )


def labelled_lines(rows: Mapping[str, str]) -> str:
    """Aligned lines of label and value; a table would cut long paths."""
    width = max(len(label) for label in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())


def show(*parts: Any) -> None:
    """Print tables and lines; long paths are not wrapped."""
    console = Console()
    for part in parts:
        text = isinstance(part, str)
        console.print(part, soft_wrap=text, markup=not text, highlight=False)


def tell(text: str, *, is_error: bool = False) -> None:
    """Print text as it is, at once, on standard output or standard error; nothing if nobody reads it, as after head.

    It is written together with its end, since another thread may write, too.
    """
    stream = sys.stderr if is_error else sys.stdout
    try:
        stream.write(printable(text, getattr(stream, "encoding", None) or "utf-8") + "\n")
        stream.flush()
    except BrokenPipeError:
        leave_unread(stream)


def leave_unread(stream: TextIO) -> None:
    """Write no more to a stream that nobody reads; Python would complain when it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(line: str) -> None:
    """Print an error in one line on standard error."""
    tell(f"error: {' '.join(line.split())}", is_error=True)


@contextmanager
def progress(title: str, total: int | None, *, transient: bool = False) -> Iterator[Callable[..., None]]:
    """A bar on standard error with the rate and the time left; gives a function to call with the number of steps done.

    Args:
        title: text before the bar.
        total: number of steps; None if unknown.
        transient: the bar is removed at its end, and is not shown if standard error is no terminal.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = transient and not console.is_terminal
    with Progress(*columns, console=console, transient=transient, disable=hidden) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps=1: bar.advance(task, steps)


@contextmanager
def progress_in_bytes(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """The same for bytes; gives a function to call with the number of new bytes.

    Args:
        title: text before the bar.
        total: number of bytes; None if unknown.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


class _Rate(ProgressColumn):
    """Steps a second over the whole time; a rate over the last seconds would jump after a wait."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed
        rate = task.completed / seconds if seconds else 0.0
        return Text(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate else "")


class Interrupt:
    """In its block the first Ctrl-C only sets `asked`, so that a task can finish; a second one ends it at once.

    Only for the main thread, which handles signals in Python.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        tell("finishing what has started; Ctrl-C again ends at once", is_error=True)
