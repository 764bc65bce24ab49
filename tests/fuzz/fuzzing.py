"""Runs damaged files through the targets, each in a process whose memory and time are bounded."""

import collections
import faulthandler
import json
import multiprocessing
import os
import random
import resource
import signal
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.mutation import damage_of
from tests.fuzz.targets import CORPUS, TARGETS, outcome

CASE_SECONDS = 10  # of the processor, for one file
_CRASH_SECONDS = 60  # then also a library that hears no signal ends
_MEGABYTES = 1500  # beside what the process has at its start
_KEPT = 50  # failing files of a target
_FORK = multiprocessing.get_context("fork")


class _TooSlowError(BaseException):
    """Not caught by any handler of errors."""


def fuzz(name: str, seed: int, cases: int, seconds: float, output: Path) -> dict[str, Any]:
    """Reads damaged files until there were so many, or for so long.

    Args:
        name: of the target.
        seed: of the damage.
        cases: largest number of files.
        seconds: until no more is read.
        output: folder for the files at which something was wrong, each with its reason beside it; made if needed.

    Returns:
        "cases"; "outcomes": their numbers; "faults": reason -> number of files.
    """
    end, done = time.monotonic() + seconds, 0
    outcomes, faults = collections.Counter[str](), collections.Counter[str]()
    while done < cases and time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            arguments = (name, seed, done, cases, end - time.monotonic(), root, output)
            process = _FORK.Process(target=_child, args=arguments)
            process.start()
            process.join()
            report = json.loads((root / "report.json").read_text()) if (root / "report.json").exists() else {}
            outcomes.update(report.get("outcomes", {}))
            faults.update(report.get("faults", {}))
            done = report.get("next", done)
            if process.exitcode != 0:  # the whole process died of the file after the last report
                reason = f"the process ended with status {process.exitcode}"
                faults[reason] += 1
                outcomes["fault"] += 1
                kept, data = damaged(name, seed, done)
                _keep(output, name, kept, seed, done, data, reason)
                done += 1
    return {"cases": done, "outcomes": dict(outcomes), "faults": dict(faults.most_common())}


def damaged(name: str, seed: int, number: int) -> tuple[str, bytes]:
    """Name in the corpus and damaged content of a file."""
    chance, files = random.Random(f"{name} {seed} {number}"), TARGETS[name].files
    kept = files[number % len(files)]
    return kept, damage_of(kept)((CORPUS / kept).read_bytes(), chance)


def _child(name: str, seed: int, first: int, cases: int, seconds: float, root: Path, output: Path) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    (root / "files").mkdir()
    read = TARGETS[name].prepare(root / "files")
    for kept in TARGETS[name].files:  # so that what is loaded once is not counted
        assert outcome(read, kept, (CORPUS / kept).read_bytes()) == "accepted", kept
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (_MEGABYTES << 20),) * 2)
    signal.signal(signal.SIGPROF, _too_slow)
    end, outcomes, faults = time.monotonic() + seconds, collections.Counter[str](), collections.Counter[str]()
    for number in range(first, cases):
        kept, data = damaged(name, seed, number)
        faulthandler.dump_traceback_later(_CRASH_SECONDS, exit=True)
        signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
        try:
            found = outcome(read, kept, data)
        except (Exception, _TooSlowError) as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            place = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__} at {Path(place.filename).name} {place.name}"
            found = "fault"
            if faults[reason] < 3 and len(faults) < _KEPT:
                _keep(output, name, kept, seed, number, data, traceback.format_exc())
            faults[reason] += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcomes[found] += 1
        report = {"next": number + 1, "outcomes": outcomes, "faults": faults}
        if number % 50 == 0 or found == "fault" or time.monotonic() > end or number == cases - 1:
            (root / "new.json").write_text(json.dumps(report))
            (root / "new.json").replace(root / "report.json")
        if time.monotonic() > end:
            break
    faulthandler.cancel_dump_traceback_later()


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise _TooSlowError(f"more than {CASE_SECONDS} s")


def _keep(output: Path, name: str, kept: str, seed: int, number: int, data: bytes, reason: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace(' ', '_')}-{seed}-{number}-"
    (output / f"{stem}{kept}").write_bytes(data)
    (output / f"{stem}{kept}.txt").write_text(reason)
