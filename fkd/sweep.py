"""The end of a sweep: what came of its jobs, wherever they ran."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fkd.console import show
from fkd.errors import UserError

statuses: set[int] = set()
"""Exit statuses of the jobs of this command that did not end well."""


class Closing(Callback):
    """Shows the jobs of a sweep, ranked, and those that failed with their reasons."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        from fkd import comparison  # only sweeps need it

        folder = Path(config.hydra.sweep.dir)
        show(*comparison.summary(folder), f"look closer: python scripts/compare.py runs={folder}")
        if not statuses and not _all_done(folder):  # jobs of other processes
            statuses.add(1)


def _all_done(folder: Path) -> bool:
    """Whether no job of a sweep has failed, was cut, or has left nothing; a job that was pruned has done its part."""
    from fkd import comparison

    try:
        runs = comparison.read([folder])
    except UserError:
        return False
    return all(run.status in ("done", "running") or run.reason.startswith("pruned") for run in runs)
