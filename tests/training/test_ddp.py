"""A training in two processes on the CPU is the training of one process."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from fkd.schema import IBUG68
from tests.conftest import PROJECT, Outcome
from tests.training.callbacks.test_last import terminated
from tests.training.runs.killing import same

# 21 faces train and 9 validate, all of their points visible: a loss is a mean over the visible points of one process.
TRAINING = ("data=udacity", "data.cache_dir=cache", "data.val_share=0.3", "data.num_workers=0", "augmentation=none")
# Neither BatchNorm nor dropout, which differ with the process; and Adam would make much of rounding errors.
NET = (
    "crop.size=32",
    "~model.net",
    "+model.net={_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.Flatten}, {_target_: torch.nn.Linear, "
    "in_features: 1024, out_features: 200}, {_target_: torch.nn.ReLU}, {_target_: torch.nn.Linear, in_features: 200, "
    "out_features: 136}]}",
    "model.heatmaps=null",
)
STEPS = ("optimizer=sgd", "optimizer.lr=0.1", "scheduler=none", "trainer.max_epochs=2", "trainer.precision=32-true")


ONE = ("trainer=cpu", "data.batch_size=2", "test=false")
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=1", "test=false")
Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Runs scripts/train.py in a folder of this module."""
    folder = tmp_path_factory.mktemp("ddp")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROJECT / "scripts/train.py"), *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)

    return run


@pytest.fixture(scope="module")
def runs(train: Train, tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> tuple[Path, Path]:
    """The folders of one training in one process and of the same in two."""
    for kind in (("hydra.run.dir=one", *ONE), ("hydra.run.dir=two", *TWO)):
        done = train(f"data.root={faces_root}", *TRAINING, *NET, *STEPS, *kind)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("precision: 32-true") == 1, done.stdout  # the second process says nothing
        assert "starts from the beginning" not in done.stdout
    folder = tmp_path_factory.getbasetemp() / "ddp0"
    return folder / "one", folder / "two"


def logged(run: Path) -> dict[tuple[int, str], float]:
    """(epoch, name) -> value, of losses and errors."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        (int(row["epoch"]), name): float(value)
        for row in rows
        for name, value in row.items()
        if value and name.startswith(("val/", "train/loss"))
    }


def test_two_processes_log_what_one_logs(runs: tuple[Path, Path]) -> None:
    one, two = map(logged, runs)
    assert len(one) == 2 * (3 + len(IBUG68.parts))
    assert two == pytest.approx(one, rel=1e-5)


def test_two_processes_leave_frozen_parts_alone(train: Train, faces_root: Path, tmp_path: Path) -> None:
    frozen = ("+model.frozen=['1']", f"hydra.run.dir={tmp_path}", "trainer.max_epochs=1")
    done = train(f"data.root={faces_root}", *TRAINING, *NET, *STEPS, *TWO, *frozen)
    assert done.returncode == 0, done.stderr
    weights, before = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["state_dict"], first_weights()
    assert torch.equal(weights["model.net.1.weight"], before["1.weight"])
    assert not torch.equal(weights["model.net.3.weight"], before["3.weight"])


def first_weights() -> dict[str, torch.Tensor]:
    """Of the net, as the run's seed of 0 gives them."""
    pl.seed_everything(0, verbose=False)
    layers = nn.Flatten(), nn.Linear(1024, 200), nn.ReLU(), nn.Linear(200, 136)
    return nn.Sequential(*layers).state_dict()


def test_two_processes_learn_what_one_learns(runs: tuple[Path, Path]) -> None:
    one, two = (torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in runs)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)


def test_the_second_process_leaves_nothing_of_its_own(runs: tuple[Path, Path]) -> None:
    assert {path.name for path in runs[0].parent.iterdir()} - {"cut"} == {"one", "two", "cache"}
    one, two = (sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in runs)
    assert [name.split("tfevents")[0] for name in two] == [name.split("tfevents")[0] for name in one]


def test_two_processes_that_were_cut_go_on(runs: tuple[Path, Path], train: Train, faces_root: Path) -> None:
    """A signal to the first one is noticed by both at the eighth of ten steps."""
    cut = runs[1].parent / "cut"
    arguments = (f"data.root={faces_root}", *TRAINING, *NET, *STEPS, *TWO)
    done = train(*arguments, "hydra.run.dir=cut", *terminated("batch", 0, 5))
    assert done.returncode == 1
    assert done.stderr.count("interrupted by SIGTERM in epoch 1; all is saved") == 1
    assert "Traceback" not in done.stderr
    last = torch.load(cut / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 8
    done = train("resume=cut", "callbacks.terminate=null")
    assert done.returncode == 0, done.stderr
    assert same(runs[1], cut) == []


def test_a_sweep_says_who_could_start_the_processes(script: Callable[..., Outcome], faces_root: Path) -> None:
    arguments = (f"data.root={faces_root}", *TRAINING, "crop.size=32", "trainer=ddp", "trainer.accelerator=cpu")
    outcome = script("train", "-m", *arguments, "hydra.sweep.dir=sweep")
    assert outcome.status == 2
    assert "hydra/launcher=submitit_slurm hydra.launcher.tasks_per_node=2 trainer.devices=2" in outcome.err


@pytest.mark.parametrize("start", [("-m", "fkd", "train"), (str(Path(sys.executable).with_name("fkd")), "train")])
def test_the_command_starts_its_other_processes_and_they_know_its_config_folders(
    tmp_path: Path, faces_root: Path, start: tuple[str, ...]
) -> None:
    if not Path(sys.executable).with_name("fkd").exists():
        pytest.skip("fkd is not installed in this environment")
    (tmp_path / "configs/loss").mkdir(parents=True)
    (tmp_path / "configs/loss/mine.yaml").write_text("_target_: fkd.losses.MSE\n")
    words = (
        "--config-dir",
        "configs",
        "loss=mine",
        "hydra.run.dir=run",
        f"data.root={faces_root}",
        *TRAINING,
        *NET,
        *TWO,
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, *start, *words, *TRAINING, *NET, *TWO]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/result.json").read_text())["status"] == "done"
