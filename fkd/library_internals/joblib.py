"""Undocumented parts of joblib: the pool of processes that it has inside."""

from joblib.externals.loky import reusable_executor
from joblib.externals.loky.backend.utils import kill_process_tree
from joblib.externals.loky.process_executor import TerminatedWorkerError

__all__ = ["TerminatedWorkerError", "forget_workers", "kill_process_tree"]


def forget_workers() -> None:
    """Let processes end one after the other; joblib, which has no way to stop, kills all when it misses one."""
    if reusable_executor._executor is not None:
        reusable_executor._executor._processes.clear()
