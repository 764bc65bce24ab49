"""scripts/compare.py as a user runs it."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fkd.io import images
from tests.comparison.folders import write_run
from tests.comparison.test_significance import annotations
from tests.conftest import PROJECT, Outcome

Script = Callable[..., Outcome]


def test_a_sweep_is_compared(script: Script) -> None:
    sweep, table = Path("sweep"), annotations(subjects=3, frames=2)
    for number, (model, nme) in enumerate((("simple", 7.0), ("compact", 5.0), ("naimish", 6.0))):
        write_run(sweep / f"{number}_model={model},seed=0", {"model": model}, nme, faces=table, noise=number)
    write_run(sweep / "3_model=conv5,seed=0", {"model": "conv5"}, status="failed: too large", test=None, best=None)
    outcome = script("compare", "runs=sweep", "output=out")
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    (first,) = (line.split() for line in lines if line.split()[:2] == ["1", "compact"])
    assert "5.00" in first
    assert "failed: too large" in outcome.out
    assert "model=compact may be no better than model=naimish: NME" in " ".join(outcome.out.split())
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"comparison.csv", "comparison.html", "ced.png", "training.png", "cost.png"}
    for name in ("ced", "training", "cost"):
        assert images.read(f"out/{name}.png", 3).std() > 5


def test_the_folder_of_the_runs_is_the_output_if_no_other_is_given(script: Script) -> None:
    write_run(Path("sweep/0_model=a,b=[1]"))
    assert script("compare", "sweep").status == 0
    assert Path("sweep/comparison.html").exists()
    assert script("compare", "runs=sweep").status == 0  # what it left is no run


def test_a_single_run_is_shown_without_a_verdict(script: Script) -> None:
    write_run(Path("run"), nme=5.0, faces=annotations(subjects=3, frames=2))
    before = Path("run/metrics.csv").read_bytes()
    outcome = script("compare", "runs=run")
    assert outcome.status == 0, outcome.err
    assert "paired" not in outcome.out
    assert "run/comparison/comparison.html" in outcome.out
    names = {path.name for path in Path("run/comparison").iterdir()}
    assert names == {"comparison.csv", "comparison.html", "ced.png", "training.png", "cost.png"}
    assert not Path("run/ced.png").exists()  # a run's own
    assert Path("run/metrics.csv").read_bytes() == before
    again = script("compare", "runs=run/")
    assert "1 run by test NME" in again.out


def test_a_sweep_of_comparisons_is_refused_and_leaves_nothing(script: Script) -> None:
    write_run(Path("sweep/0"))
    for option in ("-m", "--multirun"):
        outcome = script("compare", option, "runs=sweep", "rank=val,test")
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert "-m: expected one comparison" in outcome.err
    assert {path.name for path in Path().iterdir()} == {"sweep"}


def test_several_folders_are_compared_together(script: Script) -> None:
    write_run(Path("a/0"), {"model": "a"})
    write_run(Path("b/0"), {"model": "b"})
    assert script("compare", "runs=[a,b]", "output=out", "rank=val").status == 0
    assert Path("out/comparison.csv").read_text().count("\n") == 3
    assert script("compare", "runs=*/0", "output=out2").status == 0
    outcome = script("compare", "runs=a,b", "output=out3")
    assert "runs=a,b: expected a folder of runs, sweeps or evaluations, a glob or a list [DIR,DIR]" in outcome.err


def test_runs_that_were_never_tested_are_compared(script: Script) -> None:
    write_run(Path("sweep/0"), {"model": "a"}, test=None, parameters=None, train_images_per_s=None)
    write_run(Path("sweep/1"), {"model": "b"}, status="stopped: interrupted", test=None, best=None)
    outcome = script("compare", "runs=sweep", "output=out")
    assert outcome.status == 0, outcome.err
    assert not Path("out/ced.png").exists()
    (Path("sweep/0/result.json")).write_text("{")
    assert script("compare", "runs=sweep", "output=out").status == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["runs", "runs="]),
        (["runs=gone"], ["runs=gone", "no such folder"]),
        (["runs=empty"], ["runs=empty", "fkd evaluate", "found none"]),
        (["runs=sweep", "rank=best"], ["rank=best", "auto, test, val"]),
        (["runs=sweep", "rows=0"], ["rows", "0"]),
        (["runs=sweep", "output=/proc/none"], ["/proc/none"]),
        (["runs=sweep", "output=sweep/0"], ["output=sweep/0", "a run's own folder"]),
        (["runs=[sweep,empty]"], ["output", "output=DIR"]),
        (["runs=[]"], ["runs=[]"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments(script: Script, arguments: Sequence[str], parts: Sequence[str]) -> None:
    write_run(Path("sweep/0"))
    Path("empty").mkdir()
    outcome = script("compare", *arguments)
    assert outcome.status == 2, outcome
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line, line


def test_a_thousand_runs_take_less_than_ten_seconds(tmp_path: Path) -> None:
    """In a process of its own, start and end included; without torch, whose import alone takes seconds."""
    table = annotations(subjects=3, frames=2)
    for i in range(1000):
        settings = {"optimizer.lr": i / 1e5, "loss": ("l1", "mse")[i % 2]}
        write_run(
            tmp_path / f"{i}_x", settings, 5 + i / 500, "done" if i % 10 else "running", table if i < 40 else None
        )
    script = str(PROJECT / "scripts" / "compare.py")
    run = f"import runpy, sys; runpy.run_path({script!r}, run_name='__main__'); assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", run, f"runs={tmp_path}"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the best 20 of 900 runs" in done.stdout
    assert time.monotonic() - start < 10
