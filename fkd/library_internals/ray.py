"""Undocumented parts of Hydra's launcher for Ray."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import ray
from hydra_plugins.hydra_ray_launcher import _core as _launcher

_core: Any = _launcher


@contextmanager
def replaced_results(on_loss: Callable[[Exception], Any]) -> Iterator[list[Any]]:
    """Give a value for a job that was lost; Hydra's launcher would stop waiting for the others.

    Args:
        on_loss: error -> the result of the job.

    Yields:
        The jobs that have been started, as Ray's references.
    """
    started: list[Any] = []
    launch = _core.launch_job_on_ray

    def launch_and_note(*arguments: Any) -> Any:
        started.append(launch(*arguments))
        return started[-1]

    def result(job: Any) -> Any:
        try:
            return ray.get(job)
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.RayTaskError, ray.exceptions.NodeDiedError) as error:
            return on_loss(error)

    _core.launch_job_on_ray, _core.ray = launch_and_note, SimpleNamespace(get=result)
    try:
        yield started
    finally:
        _core.launch_job_on_ray, _core.ray = launch, ray


def start(arguments: Mapping[str, Any]) -> None:
    """`ray.init`, if that was not called before; it sets a handler of SIGTERM.

    Raises:
        ConnectionError: no cluster answers.
    """
    if not ray.is_initialized():
        ray.init(**arguments)


def end(jobs: list[Any]) -> None:
    """Interrupt jobs, as Ctrl-C does, and wait until they have ended."""
    for job in jobs:
        ray.cancel(job)
    ray.wait(jobs, num_returns=len(jobs))
