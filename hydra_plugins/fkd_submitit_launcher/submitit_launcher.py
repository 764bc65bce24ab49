"""The plugin that Hydra finds; submitit is imported when a sweep begins, since Hydra imports plugins for every run."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar
from unittest import mock

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fkd.errors import BAD_OBJECTIVE, UserError

log = logging.getLogger(__name__)


class _SubmititLauncher(Launcher):
    """A launcher of hydra-submitit-launcher that waits for all jobs, also if some die without a word.

    Args:
        parameters: of that launcher.
    """

    inner: ClassVar[str]

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        try:
            module = import_module("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
        except ModuleNotFoundError as error:
            raise UserError(
                f'hydra/launcher: expected submitit, found no module {error.name}; pip install -e ".[sweep]"'
            ) from None
        self._inner: Launcher = getattr(module, self.inner)(**self.parameters)
        self._inner.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            with _patience():
                return self._inner.launch(job_overrides, initial_job_idx)
        except RuntimeError as error:  # no Slurm, or sbatch refuses what was asked for
            said = [line for line in str(error).splitlines() if line.strip()]
            raise UserError(
                f"hydra/launcher: expected a cluster that takes the jobs, found: {said[-1] if said else error!r}"
            ) from error


class SlurmLauncher(_SubmititLauncher):
    """Jobs in the queue of Slurm."""

    inner = "SlurmLauncher"


class LocalLauncher(_SubmititLauncher):
    """Jobs on this machine, all at once, each process with `cpus_per_task` threads."""

    inner = "LocalLauncher"

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        threads = str(self.parameters["cpus_per_task"])
        with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": threads}):  # what submitit leaves to a cluster
            return super().launch(job_overrides, initial_job_idx)


@contextmanager
def _patience() -> Iterator[None]:
    """Makes a job that was killed (memory, a node that went down) give a bad value, not end the wait for the others."""
    from submitit.core.core import Job
    from submitit.core.utils import UncompletedJobError

    results = Job.results

    def results_or_bad(job: Any) -> list[Any]:
        try:
            return results(job)
        except UncompletedJobError as error:
            log.warning(f"job {job.job_id} ended without a result: {str(error).splitlines()[0]}")
            return [JobReturn(status=JobStatus.COMPLETED, _return_value=BAD_OBJECTIVE)]

    with mock.patch.object(Job, "results", results_or_bad):
        yield
