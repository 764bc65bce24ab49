"""The processes of a training: ranks, launchers, signals, and each process's share of the machine."""

import ctypes
import functools
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from fkd.errors import UserError

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h): when free memory returns to the system, and the number of mapped blocks."""

RAY_FOLDER = "FKD_RAY_FOLDER"
"""Environment variable of a job on a Ray cluster: the folder where the command was typed."""


def loader_workers(asked: int | str, gpus: int) -> int:
    """Number of processes that load data for this process.

    Args:
        asked: `data.num_workers`, a number or "auto": for each GPU its share of the cores, up to 8; 0 for training on
            the CPU, which needs all cores, and in a sweep's worker (`hydra/launcher=joblib`), which cannot start any.
        gpus: number of this machine's GPUs that train.

    Raises:
        UserError: `asked` is neither.
    """
    if asked == "auto":
        has_own_cores = "SLURM_PROCID" in os.environ or is_submitted()  # assigned by the cluster
        return 0 if is_worker() or not gpus else min(max(cores() // (1 if has_own_cores else gpus) - 1, 1), 8)
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise UserError(f"data.num_workers={asked}: expected auto or a whole number from 0 on")
    if asked > 0 and is_worker():
        raise UserError(
            f"data.num_workers={asked}: expected 0 or auto where jobs share the cores (hydra/launcher=joblib)"
        )
    return asked


def cores() -> int:
    """Number of CPU cores that this process may use; a job on a Ray cluster only has those that it asked for."""
    if RAY_FOLDER in os.environ and (own := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        return int(own)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def outlive_signals(worker: int) -> None:
    """Keep a DataLoader's worker alive when Ctrl-C or a cluster signals all processes; for its `worker_init_fn`.

    The training needs the data until it has saved a checkpoint, and then ends its workers itself.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no such signals
        return
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    """Exit at a SIGTERM from the parent process; only `sigwaitinfo` tells the sender of a signal."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def share_threads() -> None:
    """Give OpenCV as many threads as torch, which, unlike OpenCV, reads OMP_NUM_THREADS."""
    import cv2  # here, since commands without torch import this module, too
    import torch

    cv2.setNumThreads(torch.get_num_threads())


@contextmanager
def importing() -> Iterator[None]:
    """A block of large imports, without garbage collection, which would go through all their objects again and again.

    If torch is not imported yet, as at the start of a command, later collections leave these objects out, too.
    """
    was_enabled, at_start = gc.isenabled(), "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if at_start:
            gc.freeze()
        if was_enabled:
            gc.enable()


def keep_memory() -> None:
    """Let this process keep freed memory for the next batch, for training on the CPU.

    By default glibc returns each large block to the system and gets it again, page by page, at every step, which takes
    two fifths of NaimishNet's step at 224 px (measured on an AMD EPYC).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def is_first() -> bool:
    """Whether this is global rank 0; usable before the Trainer exists.

    Other ranks must not write, print or lock, since they share the run folder.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SUBMITIT_LOCAL_GLOBALID")
    return all(int(os.environ.get(name, 0)) == 0 for name in ranks)


def leave_printing_to_first() -> None:
    """Silence the standard output of all ranks but 0; errors are still printed."""
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open until the process ends)


def is_submitted() -> bool:
    """Whether submitit started this process for one job of a sweep."""
    return "SUBMITIT_EXECUTOR" in os.environ


def is_worker() -> bool:
    """Whether this is one of the processes that run the jobs of a sweep in turn (`hydra/launcher=joblib`)."""
    return multiprocessing.parent_process() is not None


def leave() -> NoReturn:
    """End a sweep's worker; an exception would only end its current job."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@functools.cache  # a thread for each worker, not for each job
def end_with_parent() -> None:
    """Send SIGTERM to this worker when its parent process has ended or was killed."""

    def watch(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=[os.getppid()], daemon=True).start()


def go_to_folder() -> None:
    """Go to the folder where the command was typed, in which Ray does not start its processes."""
    os.chdir(os.environ[RAY_FOLDER])


def join_tasks() -> None:
    """Set torch's environment variables for the tasks of a `submitit_local` job; Lightning knows those of Slurm."""
    if os.environ.get("SUBMITIT_EXECUTOR") == "local" and int(os.environ["SUBMITIT_LOCAL_NTASKS"]) > 1:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
