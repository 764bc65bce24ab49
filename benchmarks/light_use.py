"""Time and memory of `fkd predict` with one photo, start included: results/light_use.json, in half a minute.

python -m benchmarks.light_use

Both need no torch, which is not imported even where it is installed; `import torch` alone is measured beside it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.script import run
from benchmarks.tables.pages import RESULTS
from fkd.errors import UserError
from fkd.io import images
from fkd.synthetic import face
from fkd.terminal import show
from fkd.training.runs.environment import environment
from fkd.training.runs.run_folder import write_json

_TURNS = 7
_LAUNCHER = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - start, used.ru_maxrss)
"""
"""A small process starts the program, since Linux counts the memory of the one that starts it, too."""
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of the memory that the system tells, bytes."""


def cost(words: Sequence[str], turns: int) -> tuple[float, float]:
    """Median seconds and megabytes (the largest resident memory) of a program on one core, after a start to warm up.

    Raises:
        UserError: it failed.
    """
    found = []
    for _ in range(turns + 1):
        command = [sys.executable, "-c", _LAUNCHER, *words]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        status, seconds, memory = done.stdout.split()
        if status != "0":
            raise UserError(f"{' '.join(words)}: expected that it works, found exit status {status}")
        found.append((float(seconds), int(memory) * _UNIT / 1e6))
    seconds_of_all, megabytes_of_all = zip(*found[1:], strict=True)
    return median(seconds_of_all), median(megabytes_of_all)


def main(words: Sequence[str]) -> None:
    """Measure both and write the file."""
    argparse.ArgumentParser(
        "python -m benchmarks.light_use", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(words)
    around = environment()
    with tempfile.TemporaryDirectory() as scratch:
        photo = Path(scratch, "photo.png")
        images.write(photo, face(0, 0, 0, 512)[0])
        predict = [sys.executable, "-m", "fkd", "predict", str(photo), f"output={scratch}/found"]
        seconds, megabytes = cost(predict, _TURNS)
        torch_seconds, torch_megabytes = cost([sys.executable, "-c", "import torch"], _TURNS)
    content = {
        "machine": f"one core of {around['processor']}",
        "date": datetime.now(UTC).date().isoformat(),
        "environment": around,
        "command": "fkd predict photo.png output=found",
        "seconds": round(seconds, 3),
        "megabytes": round(megabytes, 1),
        "torch_seconds": round(torch_seconds, 3),
        "torch_megabytes": round(torch_megabytes, 1),
    }
    path = RESULTS / "light_use.json"
    write_json(path, content)
    show(f"{path} is new; python -m benchmarks.tables writes it into the pages")


if __name__ == "__main__":
    run(main)
