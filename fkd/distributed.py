"""What a training process must know of the processes beside it: who started it, and what it may use of the machine."""

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import NoReturn

from fkd.errors import UserError

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (its malloc.h): when free memory is given back, and how many blocks have their own."""


def loader_workers(asked: int | str, gpus: int) -> int:
    """How many processes load the data of this one.

    Args:
        asked: `data.num_workers`, a number or "auto". A processor that trains has no core to spare for them, and in one
            of the processes of a sweep (`hydra/launcher=joblib`) they cannot start: none. A GPU gets its share of the
            cores, up to 8.
        gpus: of this machine that train.

    Raises:
        UserError: it is neither.
    """
    if asked == "auto":
        has_its_own = "SLURM_PROCID" in os.environ or is_submitted()  # a cluster gives each process its cores
        sharing = 1 if has_its_own else gpus
        return 0 if is_worker() or not gpus else min(max(cores() // sharing - 1, 1), 8)
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise UserError(f"data.num_workers={asked}: expected auto or a whole number from 0 on")
    if asked > 0 and is_worker():
        raise UserError(
            f"data.num_workers={asked}: expected 0 or auto where jobs share the cores (hydra/launcher=joblib)"
        )
    return asked


def cores() -> int:
    """How many of the processor's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def outlive_signals(worker: int) -> None:
    """Keeps a process that loads data alive when the end is announced to all, as a cluster does it and Ctrl-C.

    The training needs what is being loaded until it has saved; it ends its loaders itself. For a DataLoader's
    `worker_init_fn`.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows announces nothing
        return
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    """Leaves at a SIGTERM that the parent has sent; only waiting for a signal tells from whom it is."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def share_threads() -> None:
    """Gives OpenCV as many threads as torch has, which, unlike OpenCV, reads OMP_NUM_THREADS."""
    import cv2  # here, since commands that need neither ask this module, too
    import torch

    cv2.setNumThreads(torch.get_num_threads())


def keep_memory() -> None:
    """Lets this process keep the memory that it frees, for the next batch.

    By default glibc gives each large block back to the system and gets it anew, page by page, at every step: of
    NaimishNet's step at 224 px that is two fifths (measured on an AMD EPYC). On a GPU batches live elsewhere.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def is_first() -> bool:
    """Whether this process is the first of those that train one net, known before there is a trainer.

    The others must not write, print or lock: they share the run folder.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SUBMITIT_LOCAL_GLOBALID")
    return all(int(os.environ.get(name, 0)) == 0 for name in ranks)


def leave_printing_to_first() -> None:
    """Silences the standard output of all processes of a training but the first; errors are still seen."""
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)


def is_submitted() -> bool:
    """Whether this process was begun by submitit for one job of a sweep."""
    return "SUBMITIT_EXECUTOR" in os.environ


def is_worker() -> bool:
    """Whether this process does one job of a sweep after the other, beside others like it (`hydra/launcher=joblib`)."""
    return multiprocessing.parent_process() is not None


def leave() -> NoReturn:
    """Ends a worker that was told to; an exception would end its job only, and the next one would begin."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@functools.cache  # a thread for each worker, not for each job
def end_with_parent() -> None:
    """Sends SIGTERM to this worker when the process that began it is gone, be it killed."""
    threading.Thread(target=_end_without, args=[os.getppid()], daemon=True).start()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def join_tasks() -> None:
    """Tells torch of the other tasks of a `submitit_local` job; Lightning finds those of Slurm by itself."""
    if os.environ.get("SUBMITIT_EXECUTOR") == "local" and int(os.environ["SUBMITIT_LOCAL_NTASKS"]) > 1:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
