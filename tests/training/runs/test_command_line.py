"""Trainings that were cut go on as if nothing had happened: bitwise the same weights, the same metrics.csv."""

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fkd.errors import UserError
from fkd.training.runs import command_line, rng_state
from tests.training.runs.killing import main, same, start, wait


@pytest.fixture
def arguments(tmp_path: Path, faces_root: Path) -> list[str]:
    """A small training with dropout, strong augmentation, data workers and a schedule that looks at the loss."""
    data = ["data=udacity", f"data.root={faces_root}", f"data.cache_dir={tmp_path}/cache", "data.num_workers=1"]
    kind = ["model=naimish", "crop.size=64", "augmentation=strong", "scheduler=plateau", "trainer.max_epochs=4"]
    small = ["trainer=cpu", "trainer.precision=32-true", "data.batch_size=4", "test=false"]
    return [*data, *kind, *small]


def test_a_training_that_is_killed_again_and_again_ends_the_same(arguments: list[str], tmp_path: Path) -> None:
    assert main(3, arguments, tmp_path) == []


def test_sigterm_saves_in_the_middle_of_an_epoch(arguments: list[str], tmp_path: Path) -> None:
    """Of a training that is stopped early: a resumed one must not learn beyond that."""
    stopping = ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=9", "trainer.max_epochs=9"]
    arguments = [*arguments, "callbacks=early_stopping", *stopping]
    log, whole, cut = tmp_path / "log.txt", tmp_path / "whole", tmp_path / "cut"
    assert wait(start([*arguments, f"hydra.run.dir={whole}"], log)) == 0, log.read_text()
    child = start([*arguments, f"hydra.run.dir={cut}"], log)
    while not (cut / "checkpoints" / "last.ckpt").exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), log.read_text()
    os.kill(child, signal.SIGTERM)
    assert wait(child) == 1
    status = json.loads((cut / "result.json").read_text())["status"]
    assert status.startswith("stopped: interrupted by SIGTERM in epoch ")
    assert f"resume={cut} continues it" in status
    assert "Traceback" not in log.read_text()
    assert wait(start([f"resume={cut}"], log)) == 0, log.read_text()
    assert same(whole, cut) == []
    assert wait(start([f"resume={cut}"], log)) == 0
    assert "done, nothing is left to do" in log.read_text()


def test_random_numbers_go_on_where_they_stood(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.normal(), float(torch.rand(1))]  # noqa: NPY002

    random.gauss(0, 1)  # leaves its second number for the next call
    torch.save(rng_state.collect(), tmp_path / "states")
    expected = draw()
    draw()
    rng_state.restore(torch.load(tmp_path / "states", weights_only=True))
    assert draw() == expected


def test_resume_becomes_the_command_line_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"overrides": ["model=simple", "tags=[a,b]"]}))
    assert command_line.command_line([f"resume={tmp_path}", "trainer.max_epochs=9"]) == [
        "model=simple",
        "tags=[a,b]",
        "trainer.max_epochs=9",
        "hydra.mode=RUN",
        f"hydra.run.dir='{tmp_path}'",
        "ckpt_path=last",
    ]
    assert command_line.command_line(["model=simple"]) == ["model=simple"]


def test_a_sweep_is_resumed_by_its_command(tmp_path: Path) -> None:
    overrides = {"hydra": ["hydra/launcher=joblib", f"hydra.sweep.dir={tmp_path}/old"], "task": ["seed=0,1"]}
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": overrides}}))
    assert command_line.command_line(["hydra.launcher.n_jobs=2", f"resume={tmp_path}"]) == [
        "--multirun",
        "hydra/launcher=joblib",
        "seed=0,1",
        "hydra.launcher.n_jobs=2",
        f"hydra.sweep.dir='{tmp_path}'",
    ]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"overrides": 7}', '{"overrides": [7]}', '{"overrides": ["-cd=x"]}', "{}"]
)
def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path, content: str) -> None:
    with pytest.raises(UserError, match=r"resume=.*: expected the folder of a run .* or of a sweep"):
        command_line.command_line([f"resume={tmp_path}"])
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json: expected the overrides of a command, found a broken file"):
        command_line.command_line([f"resume={tmp_path}"])
    (tmp_path / "multirun.yaml").write_text(content)
    with pytest.raises(UserError, match=r"multirun\.yaml: expected the overrides of a command, found a broken file"):
        command_line.command_line([f"resume={tmp_path}"])


@pytest.mark.parametrize("other", ["resume=b", "hydra.run.dir=b", "hydra.sweep.dir=b", "ckpt_path=b.ckpt"])
def test_resume_names_the_only_folder(tmp_path: Path, other: str) -> None:
    with pytest.raises(
        UserError, match=f"^resume={tmp_path}: expected no other folder beside this one, found {other}; "
    ):
        command_line.command_line([f"resume={tmp_path}", other])


@pytest.mark.parametrize(("name", "found"), [("", "nothing"), ("none", "no folder"), ("file", "no folder")])
def test_resume_wants_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, found: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError, match=rf"^resume={name}: expected the folder of a run or sweep, found {found}; give"):
        command_line.command_line([f"resume={name}"])
