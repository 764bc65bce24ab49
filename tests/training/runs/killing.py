"""Trainings that are killed again and again, and must end as if nothing had happened.

    python -m tests.training.runs.killing 24 data=udacity data.root=DIR

trains once to the end, then kills the same training 24 times, at random moments and while checkpoints are being written
(SIGKILL; one in four by SIGTERM, at which it saves and leaves), resumes it each time, and compares all weights bit by
bit and what was logged line by line.
"""

import contextlib
import csv
import json
import os
import random
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import torch

PROJECT = Path(__file__).parents[3]
THREADS = torch.get_num_threads()
"""Of a training."""

TIMES = {"train/images_per_s", "created_at"}
"""Columns of metrics.csv that no two runs share."""

WAYS = (
    (signal.SIGKILL, False),
    (signal.SIGKILL, False),
    (signal.SIGKILL, True),
    (signal.SIGTERM, False),
)
"""Signals, and whether to wait until a checkpoint is being written."""


def start(
    arguments: Sequence[str], log: Path, script: str = "train", at_first: Callable[[], object] = lambda: None
) -> int:
    """Runs a script in a fork of this process, which has torch in memory already; gives its number."""
    torch.set_num_threads(1)  # threads do not live on in a fork, but would be waited for
    cv2.setNumThreads(1)
    child = os.fork()
    if child:
        return child
    torch.set_num_threads(THREADS)
    status = 1
    try:
        sys.stdout = sys.stderr = log.open("a", buffering=1)
        sys.argv = [f"{script}.py", *arguments]
        at_first()
        try:
            runpy.run_path(str(PROJECT / "scripts" / f"{script}.py"), run_name="__main__")
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        except Exception:
            traceback.print_exc()
    finally:
        os._exit(status)


def wait(child: int) -> int:
    """The exit status; negative if a signal killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def being_written(folder: Path) -> bool:
    return any(folder.glob("checkpoints/.*.tmp"))


def kill(child: int, folder: Path, seconds: float, in_writing: bool, number: int = signal.SIGKILL) -> bool:
    """Kills after a while, or as soon as a checkpoint is being written then; False if the training was faster."""
    end = time.monotonic() + seconds
    while (time.monotonic() < end or (in_writing and not being_written(folder))) and not ended(child):
        time.sleep(0.002)
    if ended(child):
        return False
    os.kill(child, number)
    return True


def was_interrupted(folder: Path) -> bool:
    return str(json.loads((folder / "result.json").read_text())["status"]).startswith("stopped: interrupted by SIGTERM")


def same(one: Path, other: Path) -> list[str]:
    """What differs between the ends of two runs: names of weights, of files, lines of metrics.csv."""
    differences = []
    for name in ("best", "last"):
        states = [
            torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"] for run in (one, other)
        ]
        differences += [f"{name}.ckpt {key}" for key in states[0] if not torch.equal(states[0][key], states[1][key])]
    rows = [logged(run / "metrics.csv") for run in (one, other)]
    differences += [f"metrics.csv {a} {b}" for a, b in zip(*rows, strict=False) if a != b]
    if len(rows[0]) != len(rows[1]):
        differences.append(f"metrics.csv: {len(rows[0])} and {len(rows[1])} rows")
    return differences


def logged(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def main(kills: int, arguments: Sequence[str], root: Path) -> list[str]:
    """Differences after so many kills, spread over as many runs as they take."""
    whole, log = root / "whole", root / "log.txt"
    begin = time.monotonic()
    assert wait(start([*arguments, f"hydra.run.dir={whole}"], log)) == 0, log.read_text()
    duration = time.monotonic() - begin
    choose, done, run, differences = random.Random(0), 0, 0, []
    while done < kills:
        run, folder = run + 1, root / f"cut{run}"
        arguments_now = [*arguments, f"hydra.run.dir={folder}"]
        for attempt in range(10_000):
            child = start(arguments_now, log)
            if done < kills and attempt < 6:
                number, in_writing = choose.choice(WAYS)
                if kill(child, folder, choose.uniform(0.1, 0.9) * duration, in_writing, number):
                    done += 1
                    print(f"{done}: {number.name} {'while writing' if in_writing else ''}", flush=True)
            status = wait(child)
            if status == 0:
                break
            assert status in (-signal.SIGKILL, -signal.SIGTERM) or was_interrupted(folder), log.read_text()
            if (folder / "result.json").exists():  # else it was killed before it began
                arguments_now = [f"resume={folder}"]
        found = same(whole, folder)
        print(f"run {run}: {found[:3] or 'bitwise the same weights, the same metrics.csv'}", flush=True)
        differences += found
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    return differences


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(PROJECT))
    import fkd.config  # noqa: F401  (once, for all forks)

    with tempfile.TemporaryDirectory() as name:
        sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:], Path(name))))
