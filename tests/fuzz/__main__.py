"""`python -m tests.fuzz --minutes 60` reads damaged files of each kind, as long as of the others.

It prints the number of files, what came of them, and what was wrong; failing files are in the output folder.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.fuzz.fuzzing import fuzz
from tests.fuzz.targets import TARGETS

parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
parser.add_argument("--minutes", type=float, default=60, help="of all targets together")
parser.add_argument("--seed", type=int, default=int(time.time()))
parser.add_argument("--target", nargs="+", choices=TARGETS, default=[*TARGETS])
parser.add_argument("--output", type=Path, default=Path("outputs/fuzz"), help="folder for failing files")
given = parser.parse_args()
seconds = 60 * given.minutes / len(given.target)
found = {name: fuzz(name, given.seed, sys.maxsize, seconds, given.output) for name in given.target}
faults = sum(sum(report["faults"].values()) for report in found.values())
cases = sum(report["cases"] for report in found.values())
print(json.dumps({"seed": given.seed, "minutes": given.minutes, "cases": cases, "faults": faults, **found}, indent=1))
sys.exit(bool(faults))
