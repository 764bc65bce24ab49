"""What a person sees in the terminal: tables, lines and progress bars; and how a long task is interrupted."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
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
from rich.text import Text


def labelled_lines(rows: Mapping[str, str]) -> str:
    """Labelled lines; a table would cut long paths."""
    width = max(len(label) for label in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())


def show(*parts: Any) -> None:
    """Prints tables and lines; long paths are not broken."""
    console = Console()
    for part in parts:
        text = isinstance(part, str)
        console.print(part, soft_wrap=text, markup=not text, highlight=False)


def say(line: str) -> None:
    """What went wrong, in one line on standard error."""
    print(f"error: {' '.join(line.split())}", file=sys.stderr)


@contextmanager
def progress(title: str, total: int | None, *, transient: bool = False) -> Iterator[Callable[..., None]]:
    """A bar on standard error with the rate and the time left; gives what is to be called after a step or some steps.

    Args:
        title: stands before the bar.
        total: number of steps; None if nobody knows.
        transient: the bar goes away at its end, and is not shown where standard error is no terminal.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = transient and not console.is_terminal
    with Progress(*columns, console=console, transient=transient, disable=hidden) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps=1: bar.advance(task, steps)


@contextmanager
def progress_in_bytes(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """The same for bytes; gives what is to be called with the number of bytes that have come since the last call.

    Args:
        title: stands before the bar.
        total: number of bytes; None if nobody knows.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


class _Rate(ProgressColumn):
    """Steps a second, over the whole time: what is done at once after a wait would make a recent rate jump."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed
        rate = task.completed / seconds if seconds else 0.0
        return Text(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate else "")


class Interrupt:
    """Within the block the first Ctrl-C is noted, so that a task can end in good order; a second one ends it at once.

    Only for the main thread, where Python takes signals.
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
        print("finishing what is begun; Ctrl-C again ends at once", file=sys.stderr)
