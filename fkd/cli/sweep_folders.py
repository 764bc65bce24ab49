"""Checks before a command that its folder holds no other run, and results after the jobs of a sweep."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fkd.errors import UserError
from fkd.terminal import show
from fkd.training.runs.command_line import command, sweep_overrides, task_overrides
from fkd.training.runs.run_folder import ELSEWHERE, Run

statuses: set[int] = set()
"""Exit statuses of this command's jobs that failed."""


class Folders(Callback):
    """Refuses a folder that another command has made; prints the ranked jobs of a sweep and the reasons of failures."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        with _refusing():  # before Hydra writes into the folder
            Run(config.hydra.run.dir, task_overrides(config.hydra), {}, config.ckpt_path)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        with _refusing():
            _check_folder(Path(config.hydra.sweep.dir), task_overrides(config.hydra))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        from fkd import comparison  # here: only sweeps need it

        folder = Path(config.hydra.sweep.dir)
        show(*comparison.summary(folder), f"look closer: fkd compare {folder}")
        if not statuses and not _all_done(folder):  # jobs of other processes
            statuses.add(1)


class RefusedError(SystemExit):
    """The end of a command whose folder holds something else; Hydra makes a warning of any other exception.

    Args:
        reason: what is wrong.
    """

    def __init__(self, reason: UserError) -> None:
        super().__init__(UserError.status)
        self.reason = reason


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise RefusedError(error) from None


def _check_folder(folder: Path, overrides: list[str]) -> None:
    if (folder / "result.json").exists():
        raise UserError(f"{folder}: expected the folder of a sweep, found that of a run; {ELSEWHERE}")
    if not (folder / "multirun.yaml").exists():
        return
    _, before = sweep_overrides(folder)
    if command(before) != command(overrides):
        raise UserError(
            f"{folder}: expected the command of the sweep in this folder ({' '.join(before) or 'no overrides'}), "
            f"found {' '.join(overrides) or 'no overrides'}; {ELSEWHERE}"
        )


def _all_done(folder: Path) -> bool:
    """Whether all jobs of a sweep are done, pruned, or running in other processes."""
    from fkd import comparison

    try:
        runs = comparison.read([folder])
    except UserError:
        return False
    return all(run.status in ("done", "running") or run.reason.startswith("pruned") for run in runs)
