"""The plugins that Hydra finds. Libraries are imported when a sweep begins: Hydra imports plugins for every run."""

import logging
import multiprocessing
import os
import signal
from abc import abstractmethod
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fkd.errors import BAD_OBJECTIVE, Stopped, UserError

log = logging.getLogger(__name__)


class _Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


class _InnerLauncher(Launcher):
    """The launcher of the same name among Hydra's plugins, which says how a sweep goes on which was interrupted.

    Args:
        parameters: of that launcher.
    """

    library: ClassVar[str]
    """What it needs: `hydra_<library>_launcher` is among the plugins."""
    interrupted: ClassVar[str]
    """What becomes of the jobs at Ctrl-C."""
    terminated: ClassVar[str]
    """What becomes of them at SIGTERM."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        try:
            module = import_module(f"hydra_plugins.hydra_{self.library}_launcher.{self.library}_launcher")
        except ModuleNotFoundError as error:
            raise UserError(
                f'hydra/launcher: expected {self.library}, found no module {error.name}; pip install -e ".[sweep]"'
            ) from None
        self.goes_on = f"; resume={config.hydra.sweep.dir} goes on" if "ckpt_path" in config else ""
        self._inner: Launcher = getattr(module, type(self).__name__)(**self.parameters)
        self._inner.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            with self.waiting():
                return self._inner.launch(job_overrides, initial_job_idx)
        except KeyboardInterrupt as error:
            what = self.terminated if isinstance(error, _Terminated) else self.interrupted
            raise KeyboardInterrupt(what.format(**self.parameters) + self.goes_on) from None

    @abstractmethod
    def waiting(self) -> AbstractContextManager[None]:
        """What holds while jobs are launched and waited for."""


class JoblibLauncher(_InnerLauncher):
    """Jobs side by side on this machine, which end when this process is told to."""

    library = "joblib"
    interrupted = terminated = "its jobs have saved and ended, too"

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from fkd.library_internals.joblib import TerminatedWorkerError

        try:
            return super().launch(job_overrides, initial_job_idx)
        except TerminatedWorkerError:
            raise Stopped(f"a job was killed, perhaps for its memory, and the others with it{self.goes_on}") from None

    def waiting(self) -> AbstractContextManager[None]:
        return _ending_together()


class LocalLauncher(_InnerLauncher):
    """Jobs on this machine, all at once, each process with `cpus_per_task` threads."""

    library = "submitit"
    interrupted = "the jobs that run here end, too"
    terminated = "the jobs that run here go on"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        threads = str(self.parameters["cpus_per_task"])
        with _patience(), _given(os.environ, "OMP_NUM_THREADS", threads):  # what submitit leaves to a cluster
            yield


class SlurmLauncher(_InnerLauncher):
    """Jobs in the queue of Slurm."""

    library = "submitit"
    interrupted = terminated = "its jobs go on in Slurm's queue, scancel --name={name} ends them"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        try:
            with _patience():
                yield
        except RuntimeError as error:  # no Slurm, or sbatch refuses what was asked for
            said = [line for line in str(error).splitlines() if line.strip()]
            raise UserError(
                f"hydra/launcher: expected a cluster that takes the jobs, found: {said[-1] if said else error!r}"
            ) from error


@contextmanager
def _ending_together() -> Iterator[None]:
    """Passes the end on, at Ctrl-C or SIGTERM, to joblib's processes, and waits until they have saved.

    At the second one they are killed.
    """
    from fkd.library_internals.joblib import forget_workers, kill_process_tree

    workers: list[Any] = []

    def end(number: int, frame: FrameType | None) -> None:
        if workers:
            for worker in workers:
                kill_process_tree(worker)
            return
        workers.extend(multiprocessing.active_children())
        forget_workers()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _patience() -> Iterator[None]:
    """Makes a job that was killed (memory, a node that went down) give a bad value, not end the wait for the others.

    SIGTERM ends it by an exception.
    """
    from fkd.library_internals.submitit import replaced_results

    def bad_value(job: Any, error: Exception) -> JobReturn:
        log.warning(f"job {job.job_id} ended without a result: {str(error).splitlines()[0]}")
        result = JobReturn(status=JobStatus.COMPLETED)
        result.return_value = BAD_OBJECTIVE
        return result

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        with replaced_results(bad_value):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _given(values: MutableMapping[str, str], key: str, value: str) -> Iterator[None]:
    """Sets one value for the block."""
    before = values.get(key)
    values[key] = value
    try:
        yield
    finally:
        if before is None:
            del values[key]
        else:
            values[key] = before
