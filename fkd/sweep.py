"""The end of a sweep: what came of its jobs, wherever they ran."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fkd.console import show

statuses: set[int] = set()
"""Exit statuses of the jobs of this command that did not end well."""


class Closing(Callback):
    """Shows the jobs of a sweep, ranked, and those that failed with their reasons."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        from fkd import comparison  # only sweeps need it

        folder = Path(config.hydra.sweep.dir)
        show(*comparison.summary(folder), f"look closer: python scripts/compare.py runs={folder}")
        if not statuses and any(run.status in ("failed", "broken", "killed") for run in comparison.read([folder])):
            statuses.add(1)  # of jobs in other processes
