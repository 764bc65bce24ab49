"""Launchers as plugins of Hydra. It imports them for every run, so joblib, Ray and submitit only by a sweep."""

import logging
import multiprocessing
import os
import re
import signal
import socket
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fkd.distributed import RAY_FOLDER
from fkd.errors import BAD_OBJECTIVE, Stopped, UserError, printable

log = logging.getLogger(__name__)


class _Terminated(KeyboardInterrupt):
    """The process has received SIGTERM."""


class _InnerLauncher(Launcher):
    """Runs Hydra's launcher of the same name and, after an interruption, says how to resume the sweep.

    Args:
        parameters: parameters of that launcher.
    """

    extra: ClassVar[str] = "sweep"  # the extra of fkd that brings it
    library: ClassVar[str]  # the plugin `hydra_<library>_launcher` holds the launcher
    interrupted: ClassVar[str]  # message after Ctrl-C: what happens to the jobs
    terminated: ClassVar[str]  # the same after SIGTERM

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        try:
            module = import_module(f"hydra_plugins.hydra_{self.library}_launcher.{self.library}_launcher")
        except ModuleNotFoundError as error:
            raise UserError(
                f"hydra/launcher: expected {self.library}, found no module {error.name}; "
                f"pip install 'fkd[{self.extra}]'"
            ) from None
        self.resume_hint = f"; resume={config.hydra.sweep.dir} continues the sweep" if "ckpt_path" in config else ""
        self._inner: Launcher = getattr(module, type(self).__name__)(**self.parameters)
        self._inner.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            with self.waiting():
                return self._inner.launch(job_overrides, initial_job_idx)
        except KeyboardInterrupt as error:
            message = self.terminated if isinstance(error, _Terminated) else self.interrupted
            raise KeyboardInterrupt(message.format(**self.parameters) + self.resume_hint) from None

    @abstractmethod
    def waiting(self) -> AbstractContextManager[None]:
        """The context in which jobs are launched and waited for."""


class JoblibLauncher(_InnerLauncher):
    """Parallel jobs on this machine; Ctrl-C and SIGTERM end them, too."""

    library = "joblib"
    interrupted = terminated = "its jobs have saved and ended, too"

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from fkd.library_internals.joblib import TerminatedWorkerError

        try:
            return super().launch(job_overrides, initial_job_idx)
        except TerminatedWorkerError:
            message = "a job was killed, perhaps since memory was short, and the others with it"
            raise Stopped(message + self.resume_hint) from None

    def waiting(self) -> AbstractContextManager[None]:
        return _stopping_workers()


class RayLauncher(_InnerLauncher):
    """Jobs on a Ray cluster; Ctrl-C and SIGTERM end them, too. A job that was killed is started again and resumes.

    Args:
        ray: arguments of `ray.init` and, for each job, of `ray.remote`.
    """

    extra = library = "ray"
    interrupted = terminated = "its jobs have saved and ended, too"

    def __init__(self, ray: DictConfig) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray reports each use to its makers
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # what two jobs print alike is printed twice
        if not sys.stdout.isatty():
            os.environ.setdefault("RAY_COLOR_PREFIX", "0")
        variables = {RAY_FOLDER: os.getcwd(), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        start = {
            "address": "local",
            "object_store_memory": None if ray.init.get("address") else 2**27,  # bytes; configs and results are small
            "runtime_env": {"env_vars": variables, "worker_process_setup_hook": "fkd.distributed.go_to_folder"},
            "logging_level": "warning",
        }
        given = {key: value for key, value in ray.init.items() if value is not None}
        super().__init__(ray=OmegaConf.create({"init": start | given, "remote": ray.remote}))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        import ray

        from fkd.library_internals.ray import replaced_results

        arguments: dict[str, Any] = OmegaConf.to_container(self.parameters["ray"].init)  # type: ignore[assignment]
        try:
            if place := re.search(r"([^/]+):(\d+)$", arguments["address"]):  # Ray itself would wait for minutes
                socket.create_connection((place[1], int(place[2])), timeout=10).close()
            if not ray.is_initialized():
                ray.init(**arguments)  # before _terminating, since it handles SIGTERM, too
        except OSError as error:
            raise UserError(
                f"hydra.launcher.ray.init.address={arguments['address']}: expected a Ray cluster that answers, found: "
                f"{error}"
            ) from error
        with replaced_results(lambda place, error: _bad_value(f"job {place}", error)) as jobs, _terminating():
            try:
                yield
            except KeyboardInterrupt:
                for job in jobs:
                    ray.cancel(job)
                ray.wait(jobs, num_returns=len(jobs))
                time.sleep(0.5)  # as Ray does at exit: until it has forwarded what the jobs printed last
                ray.shutdown()  # so that it forwards no more; a cluster that was started elsewhere stays
                raise


class LocalLauncher(_InnerLauncher):
    """Jobs on this machine, all at once, each process with `cpus_per_task` threads."""

    library = "submitit"
    interrupted = "the jobs that run here end, too"
    terminated = "the jobs that run here continue"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        threads = str(self.parameters["cpus_per_task"])
        with _waiting_for_all(), _environment("OMP_NUM_THREADS", threads):  # on a cluster, Slurm sets it
            yield


class SlurmLauncher(_InnerLauncher):
    """Jobs in the queue of Slurm."""

    library = "submitit"
    interrupted = terminated = "its jobs stay in Slurm's queue, scancel --name={name} ends them"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        try:
            with _waiting_for_all():
                yield
        except RuntimeError as error:  # Slurm is missing, or sbatch refuses an option
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise UserError(
                f"hydra/launcher: expected a cluster that accepts the jobs, found: {lines[-1] if lines else error!r}"
            ) from error


@contextmanager
def _stopping_workers() -> Iterator[None]:
    """At Ctrl-C or SIGTERM, end joblib's processes and wait until they have saved; at the second one, kill them."""
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
def _waiting_for_all() -> Iterator[None]:
    """Give a killed job a bad value instead of ending the wait for the others; end the wait at SIGTERM."""
    from fkd.library_internals.submitit import replaced_results

    with replaced_results(lambda job, error: _bad_value(f"job {job.job_id}", error)), _terminating():
        yield


def _bad_value(job: str, error: Exception) -> JobReturn:
    """The result of a job that was killed; says so."""
    log.warning(printable(f"{job} ended without a result: {str(error).splitlines()[0]}"))
    result = JobReturn(status=JobStatus.COMPLETED)
    result.return_value = BAD_OBJECTIVE
    return result


@contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM raise an exception."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _environment(key: str, value: str) -> Iterator[None]:
    """Set an environment variable for the block."""
    before = os.environ.get(key)
    os.environ[key] = value
    try:
        yield
    finally:
        del os.environ[key]
        if before is not None:
            os.environ[key] = before
