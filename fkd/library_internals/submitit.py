"""Undocumented parts of submitit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from submitit import Job
from submitit.core.utils import UncompletedJobError


@contextmanager
def replaced_results(on_loss: Callable[[Any, UncompletedJobError], Any]) -> Iterator[None]:
    """Make `Job.results` return a value for a job that was killed; Hydra's launcher would stop waiting for the others.

    Args:
        on_loss: (job, error) -> the result of the job.
    """
    results = Job.results

    def results_or_value(job: Any) -> list[Any]:
        try:
            return results(job)
        except UncompletedJobError as error:
            return [on_loss(job, error)]

    Job.results = results_or_value  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Job.results = results  # type: ignore[method-assign]
