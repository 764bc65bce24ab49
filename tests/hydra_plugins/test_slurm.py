"""Sweeps through a real Slurm, which tests/slurm/slurm.py starts on this machine."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fkd.commands.new import write_project
from tests.conftest import PROJECT
from tests.hydra_plugins.slurm import slurm

pytest.importorskip("submitit", reason="needs submitit: pip install 'fkd[sweep]'")
pytestmark = pytest.mark.skipif(
    bool(slurm.missing()), reason=f"needs Debian's slurm-wlm and munge ({', '.join(slurm.missing())} not found)"
)

TINY = (
    *("data=udacity", "data.cache_dir=cache", "data.val_share=0.3", "data.batch_size=7", "crop.size=32"),
    *("trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=2", "test=false"),
)
LONG = ("trainer.max_epochs=60", "callbacks.overlays=null")
"""Long enough to be cut in the middle."""


class Cluster:
    """Commands on a Slurm of one node, in a folder of their own."""

    def __init__(self, conf: Path, folder: Path, faces: Path) -> None:
        self.folder, self.faces = folder, faces
        self.environment = {**os.environ, "SLURM_CONF": str(conf), "OMP_NUM_THREADS": "1"}

    def train(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(PROJECT / "scripts/train.py"), *arguments, f"data.root={self.faces}"]
        # Not into a pipe, which would have to be read.
        with (self.folder / "printed.txt").open("a") as printed:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=printed, stderr=printed)

    def sweep(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        return self.train("-m", "hydra/launcher=submitit_slurm", f"hydra.sweep.dir={name}", *TINY, *arguments)

    def run(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout.strip()

    def job(self) -> str:
        """The number of the only job in the queue."""
        (number,) = self.run("squeue", "--noheader", "--format=%A").split()
        return number

    def wait(self, process: "subprocess.Popen[str]") -> int:
        try:
            return process.wait(timeout=150)
        finally:
            process.kill()

    def said(self) -> str:
        """Everything that was printed, for the message of a failure."""
        logs = sorted(self.folder.glob("*/.submitit/*/*_log.*"))
        return "\n".join(f"{path}:\n{path.read_text()}" for path in (self.folder / "printed.txt", *logs))


@pytest.fixture(scope="module")
def slurm_conf() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:  # pytest's own names are too long for a socket
        folder = Path(name)
        conf = slurm.start(folder)
        yield conf
        slurm.stop(folder)


@pytest.fixture
def cluster(slurm_conf: Path, tmp_path: Path, faces_root: Path) -> Cluster:
    return Cluster(slurm_conf, tmp_path, faces_root)


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory, slurm_conf: Path, faces_root: Path) -> Path:
    """The long training, without Slurm."""
    here = Cluster(slurm_conf, tmp_path_factory.mktemp("uncut"), faces_root)
    assert here.wait(here.train("hydra.run.dir=run", *TINY, *LONG)) == 0, here.said()
    return here.folder / "run"


def result(run: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run / "result.json").read_text())
    return content


def assert_same_net(run: Path, other: Path) -> None:
    one, two = (torch.load(path / "checkpoints/last.ckpt", weights_only=True) for path in (run, other))
    assert one["global_step"] == two["global_step"]
    for name, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][name]), name


def until(happened: Callable[[], bool], process: "subprocess.Popen[str]", cluster: Cluster) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, cluster.said()
        assert time.monotonic() < end, cluster.said()
        time.sleep(0.1)


def test_a_project_sweeps_over_its_own_net(cluster: Cluster) -> None:
    write_project(cluster.folder, "facelab")
    cluster.folder /= "facelab"
    sweep = cluster.sweep("sweep", "model=tiny", "loss=huber", "seed=0,1")
    assert cluster.wait(sweep) == 0, cluster.said()
    assert [result(run)["status"] for run in sorted(cluster.folder.glob("sweep/[01]*"))] == ["done", "done"]


def test_a_sweep_runs_as_it_is(cluster: Cluster) -> None:
    assert cluster.wait(cluster.sweep("sweep", "seed=0,1")) == 0, cluster.said()
    runs = sorted(path.parent for path in cluster.folder.glob("sweep/*/result.json"))
    assert [run.name for run in runs] == ["0_seed=0", "1_seed=1"]
    assert [result(run)["status"] for run in runs] == ["done", "done"]


def test_two_tasks_train_one_net(cluster: Cluster) -> None:
    tasks = ("hydra.launcher.tasks_per_node=2", "hydra.launcher.cpus_per_task=1", "data.batch_size=4")
    assert cluster.wait(cluster.sweep("sweep", "trainer=ddp", *tasks)) == 0, cluster.said()
    (run,) = (path.parent for path in cluster.folder.glob("sweep/*/result.json"))
    assert result(run)["status"] == "done"
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 2 * (21 // 2 // 4)
    tasks_said = [path.read_text() for path in sorted(cluster.folder.glob("sweep/.submitit/*/*_log.out"))]
    assert [said.count("epoch 2/2") for said in tasks_said] == [1, 0], cluster.said()


def test_a_cancelled_job_is_resumed_by_the_same_command(cluster: Cluster, uncut: Path) -> None:
    sweep = cluster.sweep("sweep", *LONG)
    until(lambda: any(cluster.folder.glob("sweep/*/checkpoints/last.ckpt")), sweep, cluster)
    cluster.run("scancel", cluster.job())
    assert cluster.wait(sweep) == 1, cluster.said()
    (run,) = (path.parent for path in cluster.folder.glob("sweep/*/result.json"))
    assert str(result(run)["status"]).startswith("stopped: interrupted by SIGTERM")

    assert cluster.wait(cluster.sweep("sweep", *LONG)) == 0, cluster.said()
    assert result(run)["status"] == "done"
    assert_same_net(run, uncut)


def test_a_preempted_job_is_queued_again_and_goes_on(cluster: Cluster, uncut: Path) -> None:
    sweep = cluster.sweep("sweep", *LONG)
    until(lambda: any(cluster.folder.glob("sweep/*/checkpoints/last.ckpt")), sweep, cluster)
    job = cluster.job()
    cluster.run("scancel", "--signal=USR2", job)
    assert cluster.wait(sweep) == 0, cluster.said()
    assert "Restarts=1" in cluster.run("scontrol", "show", "job", job)
    (run,) = (path.parent for path in cluster.folder.glob("sweep/*/result.json"))
    assert result(run)["status"] == "done"
    assert_same_net(run, uncut)
