"""Undocumented parts of Hydra's launcher for Ray."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import ray
from hydra_plugins.hydra_ray_launcher import _core


@contextmanager
def replaced_results(on_loss: Callable[[int, Exception], Any]) -> Iterator[list[Any]]:
    """Give a value for a job that was lost; Hydra's launcher would stop waiting for the others.

    Args:
        on_loss: (place of the job among those that were started, error) -> the result of the job.

    Yields:
        The jobs that have been started, as Ray's references.
    """
    started: list[Any] = []
    launcher: Any = _core
    launch = launcher.launch_job_on_ray

    def launch_and_note(*arguments: Any) -> Any:
        started.append(launch(*arguments))
        return started[-1]

    def result(job: Any) -> Any:
        try:
            return ray.get(job)
        except ray.exceptions.RayError as error:
            return on_loss(started.index(job), error)

    launcher.launch_job_on_ray, launcher.ray = launch_and_note, SimpleNamespace(get=result)
    try:
        yield started
    finally:
        launcher.launch_job_on_ray, launcher.ray = launch, ray
