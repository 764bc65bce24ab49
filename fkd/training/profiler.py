"""Profile of a training: the time of each part."""

import functools
import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.utilities import rank_zero_only
from rich.table import Table

from fkd.library_internals import lightning
from fkd.terminal import show
from fkd.training.runs.run_folder import write_json

_REST = "rest"
_LOGGING = "log_metrics"  # the profiled action of loggers, which Lightning does not profile


class StepProfiler(Profiler):
    """Measures how the time of a training divides among its parts; the parts add up to the whole.

    Nested parts count once: the backward pass does not count for the optimizer step that calls it. Waiting for data and
    copying include those of validation. Logging is the work of loggers on metrics; images count for the callback that
    draws them. At the end of each part the clock waits for the GPU, which slows the training a little.

    At the end of training a table is printed and a JSON file is written: `steps`, `first_step_s` (time until the end of
    the first step: workers start, kernels are chosen) and `parts`, name -> `ms_per_step` and `share`.

    Args:
        path: the JSON file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.steps = 0  # without the first
        self.seconds: dict[str, float] = defaultdict(float)
        self.first_step_s = 0.0
        self._running: list[str] = []  # nested parts, the innermost last
        self._mark = time.perf_counter()

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        super().setup(stage, local_rank, log_dir)
        if stage != "fit":
            return
        for logger in lightning.trainer_of(self).loggers:
            logger.log_metrics = self._timed(logger.log_metrics)  # type: ignore[method-assign]

    def _timed(self, log: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(log)
        def timed(*arguments: Any, **named: Any) -> None:
            with self.profile(_LOGGING):
                log(*arguments, **named)

        return timed

    def start(self, action_name: str) -> None:
        self._count()
        self._running.append(_part(action_name) or (self._running[-1] if self._running else _REST))

    def stop(self, action_name: str) -> None:
        self._count()
        self._running.pop()
        if action_name == lightning.STEP_ACTION:
            self._end_step()

    def describe(self) -> None:
        self._count()
        if self.steps:
            self._report()

    def _count(self) -> None:
        """Add the time since the last call to the innermost part."""
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        now = time.perf_counter()
        self.seconds[self._running[-1] if self._running else _REST] += now - self._mark
        self._mark = now

    def _end_step(self) -> None:
        if self.first_step_s:
            self.steps += 1
        else:
            self.first_step_s = sum(self.seconds.values())
            self.seconds.clear()

    @rank_zero_only
    def _report(self) -> None:
        total = sum(self.seconds.values())
        parts = {
            part: {"ms_per_step": 1000 * seconds / self.steps, "share": seconds / total}
            for part, seconds in sorted(self.seconds.items(), key=lambda item: -item[1])
        }
        content = {"steps": self.steps, "first_step_s": self.first_step_s, "parts": parts}
        write_json(self.path, content)
        table = Table("", "ms a step", "share", title=f"where the time goes, {self.steps} steps", title_justify="left")
        for part, values in parts.items():
            table.add_row(part, f"{values['ms_per_step']:.1f}", f"{values['share']:.1%}")
        table.add_section()
        table.add_row("all", f"{1000 * total / self.steps:.1f}", "")
        show(table, f"start and first step: {self.first_step_s:.1f} s, not in the table")


def _part(action: str) -> str | None:
    """The part that an action starts; None if it belongs to the part around it."""
    if callback := re.match(r"\[Callback\](\w+)", action):
        return f"callback {callback[1]}"
    if action == _LOGGING:
        return "logging"
    return next((part for name, part in lightning.PROFILED_ACTIONS.items() if re.search(name, action)), None)
