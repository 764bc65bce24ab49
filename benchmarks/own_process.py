"""Figures of separate processes, so that memory of earlier tasks does not count."""

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fkd.config import CONF
from fkd.errors import UserError

_MARK = "@ "
"""Start of the line of a process's output that has its figures."""


def figures_of(side: str, overrides: Sequence[str], folder: Path) -> dict[str, float]:
    """Run `scripts/benchmark.py` with this `side` and these overrides in a new process and return its figures.

    Raises:
        UserError: it ended without figures; the message is its last line.
    """
    script = str(CONF.parent / "scripts" / "benchmark.py")
    command = [sys.executable, script, *overrides, f"side={side}", f"hydra.run.dir={folder}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        if line.startswith(_MARK):
            figures: dict[str, float] = json.loads(line.removeprefix(_MARK))
            return figures
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    raise UserError(f"{' '.join(overrides)}: {lines[-1] if lines else 'ended'}")


def send(figures: Mapping[str, float]) -> None:
    """Print figures for the process that started this one."""
    print(f"{_MARK}{json.dumps(figures)}", flush=True)


def memory() -> dict[str, float]:
    """Memory of this process and its data workers, in MB.

    `peak` is the peak of the process, including mapped files such as libraries and decoded images, plus the current
    private memory of its workers; `anonymous` is the current memory of all without such files, shared pages once.
    """
    workers = [f"{child.pid}" for child in multiprocessing.active_children()]
    own = [_kilobytes(pid, "smaps_rollup", f"Private_{kind}") for pid in workers for kind in ("Clean", "Dirty")]
    peak = _kilobytes("self", "status", "VmHWM") + sum(own)
    anonymous = sum(_kilobytes(pid, "smaps_rollup", "Pss_Anon") for pid in ("self", *workers))
    return {"peak": peak / 1000, "anonymous": anonymous / 1000}


def _kilobytes(process: str, file: str, field: str) -> float:
    """A field of /proc for a process, in multiples of 1,000 bytes; there they are of 1,024."""
    for line in Path(f"/proc/{process}/{file}").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1.024
    raise UserError(f"/proc/{process}/{file}: expected {field}, found none; this system does not report it")
