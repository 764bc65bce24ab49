"""Where the time of a training goes."""

import functools
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from fkd.io.atomic import whole_file
from fkd.library_internals import lightning

_REST = "rest"
_LOGGING = "log_metrics"  # the profiled action of loggers, which Lightning does not profile


class StepProfiler(Profiler):
    """Shares the time of a training out among its parts, so that they add up to the whole.

    What runs inside of something else counts for itself only: the backward pass not for the optimizer that asks for it.
    Waiting for data and copying serve training and validation. Logging is what loggers do with figures; images belong
    to the callback that draws them. A GPU works while Python goes
    on; the clock waits for it wherever a part ends, which makes the training a little slower than it is without.

    At the end of training a table is printed and a JSON file written: `steps`, `first_step_s` (what came before the end
    of the first step: workers start, kernels are chosen) and `parts`, name -> `ms_per_step` and `share`.

    Args:
        path: the JSON file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.steps = 0  # after the first
        self.seconds: dict[str, float] = defaultdict(float)
        self.first_step_s = 0.0
        self._running: list[str] = []  # parts, each inside of the one before
        self._mark = time.perf_counter()

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        super().setup(stage, local_rank, log_dir)
        if stage != "fit":
            return
        for logger in lightning.trainer_of(self).loggers:
            logger.log_metrics = self._timed(logger.log_metrics)  # type: ignore[method-assign]

    def _timed(self, log: Callable[..., None]) -> Callable[..., None]:
        """A logger's method, which Lightning does not tell profilers of."""

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
        """Adds the time since the last call to the innermost part."""
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as file:
            file.write(json.dumps(content, indent=2).encode() + b"\n")
        table = Table("", "ms a step", "share", title=f"where the time goes, {self.steps} steps", title_justify="left")
        for part, values in parts.items():
            table.add_row(part, f"{values['ms_per_step']:.1f}", f"{values['share']:.1%}")
        table.add_section()
        table.add_row("all", f"{1000 * total / self.steps:.1f}", "")
        Console().print(table, f"start and first step: {self.first_step_s:.1f} s, not in the table", highlight=False)


def _part(action: str) -> str | None:
    """What an action is called in the table; None if it belongs to what it runs in."""
    if callback := re.match(r"\[Callback\](\w+)", action):
        return f"callback {callback[1]}"
    if action == _LOGGING:
        return "logging"
    return next((part for name, part in lightning.PROFILED_ACTIONS.items() if re.search(name, action)), None)
