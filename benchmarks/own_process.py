"""Figures of processes of their own, since memory that another task has left behind must not count."""

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fkd.config import CONF
from fkd.errors import UserError

_MARK = "@ "
"""Begins the line of a process's output that holds its figures."""


def figures_of(side: str, overrides: Sequence[str], folder: Path) -> dict[str, float]:
    """What a new process of `scripts/benchmark.py` with this `side` and these overrides tells.

    Raises:
        UserError: it ended without a figure, with its own last line.
    """
    script = str(CONF.parent / "scripts" / "benchmark.py")
    command = [sys.executable, script, *overrides, f"side={side}", f"hydra.run.dir={folder}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        if line.startswith(_MARK):
            figures: dict[str, float] = json.loads(line.removeprefix(_MARK))
            return figures
    said = [line for line in result.stderr.splitlines() if line.strip()]
    raise UserError(f"{' '.join(overrides)}: {said[-1] if said else 'ended'}")


def tell(figures: Mapping[str, float]) -> None:
    """Prints figures for the process that began this one."""
    print(f"{_MARK}{json.dumps(figures)}", flush=True)


def memory() -> dict[str, float]:
    """MB that this process and its loaders hold.

    `peak` is what the process has held at most, mapped files such as libraries and decoded images included, and what
    its loaders hold alone now; `anonymous` what all hold now without such files, where what they share counts once.
    """
    loaders = [f"{child.pid}" for child in multiprocessing.active_children()]
    own = [_kilobytes(pid, "smaps_rollup", f"Private_{kind}") for pid in loaders for kind in ("Clean", "Dirty")]
    peak = _kilobytes("self", "status", "VmHWM") + sum(own)
    anonymous = sum(_kilobytes(pid, "smaps_rollup", "Pss_Anon") for pid in ("self", *loaders))
    return {"peak": peak / 1000, "anonymous": anonymous / 1000}


def _kilobytes(process: str, file: str, field: str) -> float:
    """What /proc says of a process: multiples of 1,024 bytes there, of 1,000 here."""
    for line in Path(f"/proc/{process}/{file}").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1.024
    raise UserError(f"/proc/{process}/{file}: expected {field}, which this system does not say")
