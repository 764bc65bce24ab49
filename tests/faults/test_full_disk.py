"""Commands on a disk that is full or read-only: old files stay as they were, nothing is half written, one line says it.

The disk is a tmpfs, so these tests need to be allowed to mount one.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import fkd
from fkd.commands.new import write_project
from fkd.errors import UserError
from fkd.io import images
from fkd.synthetic import face
from tests.comparison.folders import write_run
from tests.comparison.test_significance import annotations
from tests.conftest import Outcome, write_faces

Script = Callable[..., Outcome]
SIZE = 48 * 2**20
GROWING = ("metrics.csv", "events.out.tfevents", "study.db")
"""Logs to which lines are added, and a database: they are written in place, and read up to where they are whole."""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Disk:
    """A small disk of its own."""

    path: Path

    def leave(self, free: int) -> None:
        """Fill the disk until so many bytes are free, in whole pages."""
        (self.path / "filler").unlink(missing_ok=True)
        status = os.statvfs(self.path)
        (self.path / "filler").write_bytes(bytes(max(status.f_bavail * status.f_frsize - max(free, 0), 0)))

    def mount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", self.path], check=True)

    def clear(self) -> None:
        for path in self.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def files(self) -> dict[str, str]:
        """Path -> hash of the content."""
        files = (path for path in self.path.rglob("*") if path.is_file() and path.name != "filler")
        return {str(path.relative_to(self.path)): digest(path.read_bytes()) for path in files}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("needs to be allowed to mount a tmpfs")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_faces(folder / "faces", subjects=14, frames=3)
    (folder / "photos").mkdir()
    for number in range(2):
        images.write(folder / "photos" / f"{number}.png", face(1, number, 0, 128)[0])
    for seed in range(2):
        write_run(folder / "sweep" / str(seed), nme=5.0 + seed, faces=annotations(subjects=3, frames=2), seed=seed)
    return folder


FACES = ("data=udacity", "data.root={inputs}/faces")
DRAWN = ("data=synthetic", "data.root={disk}/drawn", "data.subjects=6", "data.frames=2", "data.size=96")
COMMANDS = {
    "shard": ("shard", *FACES, "output={disk}/out"),
    "explore": ("explore", *FACES, "output={disk}/out", "faces=3"),
    "compare": ("compare", "runs={inputs}/sweep", "output={disk}/out"),
    "predict": ("predict", "input={inputs}/photos", "output={disk}/out", "csv=true"),
    "filter": ("filter", "input={inputs}/photos", "output={disk}/out", "filter=blur", "allow_unhidden=true"),
    "onnx": ("export", *FACES, "output={disk}/out.onnx", "crops=4"),
    "torch.export": ("export", *FACES, "output={disk}/out.pt2", "crops=4"),
    "safetensors": ("export", *FACES, "output={disk}/out.safetensors", "crops=4"),
    "evaluate": ("evaluate", *FACES, "hydra.run.dir={disk}/out"),
    "calibrate": ("calibrate", *FACES, "output={disk}/out.yaml"),
    "cache": ("evaluate", *FACES, "hydra.run.dir={inputs}/evaluation", "data.cache_dir={disk}/out"),
    "drawn faces": ("explore", *DRAWN, "output={inputs}/report", "faces=3"),
}


def one_line(outcome: Outcome, disk: Disk, *reasons: str) -> str:
    """The line of an error, after the progress bars: the path and the reason, and status 2."""
    lines = [line for line in outcome.err.splitlines() if "  " not in line and "━" not in line]
    assert (outcome.status, len(lines)) == (2, 1), outcome.err
    assert lines[0].startswith("error: ")
    assert str(disk.path) in lines[0]
    assert any(reason in lines[0] for reason in reasons), lines[0]
    return lines[0]


def check_whole(disk: Disk, before: dict[str, str], names: set[str]) -> None:
    """Every file is an old one, byte for byte, or belongs to the result; no temporary one is left."""
    after = disk.files()
    assert all(after.get(name) == content for name, content in before.items())
    assert not [name for name in after if name.endswith(".tmp")]
    assert {name for name in after if not Path(name).name.startswith(".")} <= names | before.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_or_read_only_disk(script: Script, disk: Disk, inputs: Path, name: str) -> None:
    command = [word.format(disk=disk.path, inputs=inputs) for word in COMMANDS[name]]
    disk.mount("ro")
    one_line(script(*command), disk, "Read-only file system")
    disk.mount("rw")
    assert not disk.files()

    outcome = script(*command)
    assert outcome.status == 0, outcome.err
    whole, status = disk.files(), os.statvfs(disk.path)
    used = SIZE - status.f_bavail * status.f_frsize
    for free in (0, used // 2, used - 8192):
        disk.clear()
        disk.leave(free)
        outcome = script(*command)
        one_line(outcome, disk, "disk full", "No space left on device")
        check_whole(disk, {}, set(whole))
        same = {key: content for key, content in disk.files().items() if key.endswith((".png", ".tar", ".npy", ".npz"))}
        assert same == {key: whole[key] for key in same}
    disk.clear()
    assert script(*command).status == 0
    assert disk.files().keys() == whole.keys()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("shard", "cache", "drawn faces")])
def test_an_older_file_stays_as_it_was(script: Script, disk: Disk, inputs: Path, name: str) -> None:
    command = [word.format(disk=disk.path, inputs=inputs) for word in COMMANDS[name]]
    assert script(*command).status == 0
    whole = set(disk.files())  # a list of an earlier filter says nothing about new images, and is removed
    old = {
        key: digest(key.encode()) for key in whole if not key.endswith(("unhidden.json", ".yaml")) or key == "out.yaml"
    }
    for key in old:
        (disk.path / key).write_bytes(key.encode())
    disk.leave(0)
    one_line(script(*command), disk, "disk full", "No space left on device")
    check_whole(disk, old, whole)


def test_a_new_project(disk: Disk) -> None:
    for option, reason in (("ro", "Read-only file system"), ("rw", "disk full")):
        disk.mount(option)
        if option == "rw":
            disk.leave(16384)
        with pytest.raises(UserError, match=f"{disk.path}/mine: cannot be written \\({reason}\\)"):
            write_project(disk.path, "mine")
        assert not disk.files()


def training(inputs: Path, *others: str) -> list[str]:
    given = ("model=compact", "model.net.stem=8", "model.net.widths=[8,8,8]", "data.batch_size=2", "trainer=debug")
    return [*given, "data=udacity", f"data.root={inputs}/faces", "test=false", *others]


def status_of(folder: Path) -> str:
    return str(json.loads((folder / "result.json").read_text())["status"])


@pytest.mark.parametrize("command", ["run", "sweep", "tpe"])
def test_a_training_on_a_disk_that_becomes_full(script: Script, disk: Disk, inputs: Path, command: str) -> None:
    place = {"run": ["hydra.run.dir={}"], "sweep": ["-m", "hydra.sweep.dir={}"]}.get(command)
    place = place or ["-m", "sweep=tpe", "optimizer.lr=interval(1e-4,1e-2)", "hydra.sweeper.n_trials=1"]
    place = [*place, "hydra.sweep.dir={}"] if command == "tpe" else place
    arguments = training(inputs, *(word.format(disk.path / "out") for word in place))
    arguments += ["seed=1,2"] if command == "sweep" else []
    assert script("train", *arguments).status == 0
    whole, status = disk.files(), os.statvfs(disk.path)
    used = SIZE - status.f_bavail * status.f_frsize
    for free in (0, 16384, used // 8, used // 2) if command == "run" else (16384, used // 2):
        disk.clear()
        disk.leave(free)
        outcome = script("train", *arguments)
        lines = [line for line in outcome.err.splitlines() if "━" not in line and "  0/" not in line]
        assert outcome.status == 2, outcome.err
        assert all(line.startswith("error: ") and str(disk.path) in line for line in lines), outcome.err
        assert any("full" in line for line in lines)
        check_whole(disk, {}, {*whole, *(name for name in disk.files() if any(each in name for each in GROWING))})
        for path in disk.path.rglob("*.ckpt"):
            torch.load(path, weights_only=True)
        for path in disk.path.rglob("*.yaml"):
            assert len(path.read_bytes()) > 2 or path.name == "hparams.yaml", path
        (disk.path / "filler").unlink()
        outcome = script("train", *arguments)
        assert outcome.status == 0, outcome.err
        assert {status_of(path.parent) for path in disk.path.rglob("result.json")} == {"done"}


class OnBatch(pl.Callback):
    """Calls a function before a batch, or with a negative number at the end of an epoch after its validation."""

    calls: ClassVar[dict[int, Callable[[], object]]] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if call := self.calls.get(trainer.global_step):
            call()

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if call := self.calls.get(-trainer.global_step):
            call()


ON_BATCH = f"+callbacks.on_batch={{_target_: {__name__}.OnBatch}}"


def test_a_full_disk_is_said_with_what_is_whole(
    script: Script, disk: Disk, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = disk.path / "out"
    last = out / "checkpoints/last.ckpt"
    arguments = [*training(inputs), ON_BATCH, "trainer.max_epochs=3", f"hydra.run.dir={out}"]
    monkeypatch.setattr(OnBatch, "calls", {-8: lambda: disk.leave(last.stat().st_size // 2)})
    line = one_line(script("train", *arguments), disk, "disk full")
    assert line.startswith(f"error: {last}: cannot be written (disk full)")
    assert "whole: best.ckpt of epoch 2, last.ckpt of epoch 1" in line
    assert torch.load(last, weights_only=True)["epoch"] == 1
    assert torch.load(last.with_name("best.ckpt"), weights_only=True)["epoch"] + 1 == 2
    assert status_of(out).startswith("failed: ")
    assert not list(out.rglob("*.tmp"))

    monkeypatch.setattr(OnBatch, "calls", {})
    disk.leave(SIZE)
    kept = last.read_bytes()
    last.write_bytes(kept[: len(kept) // 2])
    line = one_line(script("train", f"resume={out}"), disk, "truncated")
    assert f"weights={last.with_name('best.ckpt')} is whole (epoch 2)" in line
    last.write_bytes(kept)
    assert script("train", f"resume={out}").status == 0
    assert status_of(out) == "done"


@pytest.mark.parametrize("step", [1, 8])
@pytest.mark.parametrize("less", [[], ["callbacks.overlays=null", "logger.tensorboard=null"], ["logger.csv=null"]])
def test_a_run_folder_removed_while_training_is_one_line(
    script: Script, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, less: list[str], step: int
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(OnBatch, "calls", {step: lambda: shutil.rmtree(out)})
    outcome = script("train", *training(inputs), ON_BATCH, "trainer.max_epochs=3", f"hydra.run.dir={out}", *less)
    lines = [line for line in outcome.err.splitlines() if "━" not in line]
    assert (outcome.status, len(lines)) == (2, 1), outcome.err
    assert lines[0].startswith(f"error: {out}: the run's folder was removed while it trained")
    assert not (out / "result.json").exists()


def test_jobs_leave_no_threads_and_files_open(script: Script, inputs: Path, tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")

    def held() -> np.ndarray:
        return np.array([len(os.listdir(f"/proc/self/{kind}")) for kind in ("task", "fd")])

    arguments = training(inputs, "test=true")
    fkd.train([*arguments, f"hydra.run.dir={tmp_path}/first"])  # starts what stays, such as a thread of tqdm
    before = held()
    for seed in range(2):
        fkd.train([*arguments, f"seed={seed}", f"hydra.run.dir={tmp_path}/{seed}"])
    assert np.all(held() <= before)
    assert script("train", "-m", "seed=3,4", *arguments, f"hydra.sweep.dir={tmp_path}/sweep").status == 0
    assert np.all(held() <= before)
