"""Sweeps on a real Ray cluster, whose workers are processes of this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fkd.commands.new import write_project
from fkd.distributed import RAY_FOLDER
from tests.conftest import PROJECT
from tests.hydra_plugins.test_launchers import FAST, on, results, started

ray = pytest.importorskip("ray")
pytest.importorskip("hydra_plugins.hydra_ray_launcher")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Ray's workers are found in /proc")
RAY = "hydra/launcher=ray"
TWO = "+hydra.launcher.ray.init.num_cpus=2"
"""Two jobs at once, also where there is one core."""


def workers(folder: Path) -> list[int]:
    """Numbers of the processes that train for a command which was typed in a folder."""
    said, found = f"{RAY_FOLDER}={folder}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                said in (process / "environ").read_bytes().split(b"\0")
                and b"_run_job" in process.joinpath("cmdline").read_bytes()
            ):
                found.append(int(process.name))
        except OSError:  # it has just ended, or is of another user
            continue
    return found


def sweep(folder: Path, root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROJECT / "scripts/train.py"), "-m", RAY, *on(root), *FAST, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_a_job_that_fails_fails_alone(tmp_path: Path, faces_root: Path) -> None:
    done = sweep(tmp_path, faces_root, "data.batch_size=8,1000", TWO)
    good, bad = results(tmp_path / "sweep")
    assert done.returncode == 1
    assert good["status"] == "done", done.stderr
    assert bad["status"].startswith("failed: data.batch_size: expected at most the 21")
    again = sweep(tmp_path, faces_root, "data.batch_size=8,1000", TWO)
    assert again.returncode == 1
    assert "sweep/0: done, nothing is left to do" in again.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_jobs_save_and_end_with_the_sweep(number: int, tmp_path: Path, faces_root: Path) -> None:
    with started(faces_root, tmp_path, RAY, TWO) as process:
        process.send_signal(number)
        status = process.wait(timeout=60)
    printed = (tmp_path / "printed.txt").read_text()
    assert status == 1, printed
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert line == "error: interrupted; its jobs have saved and ended, too; resume=sweep continues the sweep"
    ended = [result["status"] for result in results(tmp_path / "sweep")]
    assert len(ended) == 2  # the others never began
    assert all(status.startswith("stopped: interrupted by SIGINT") for status in ended)


def test_the_last_line_is_written_when_its_jobs_print_no_more(tmp_path: Path) -> None:
    """Ray forwards what they print in a thread, which would write into that line."""
    code = """
import pathlib, ray, threading, time
from hydra_plugins.fkd_launchers.launchers import RayLauncher
from hydra_plugins.hydra_ray_launcher import _core
from omegaconf import OmegaConf

def talk():
    while True:
        print("talks")
        time.sleep(0.01)

def job():
    threading.Thread(target=talk, daemon=True).start()
    pathlib.Path("begun").touch()
    while True:
        time.sleep(0.01)

_core.launch_job_on_ray = ray.remote(job).remote
try:
    with RayLauncher(OmegaConf.create({"init": {"num_cpus": 1}, "remote": {}})).waiting():
        _core.launch_job_on_ray()
        while not pathlib.Path("begun").exists():
            time.sleep(0.1)
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("end", flush=True)
"""
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    said = [line.rpartition(" ")[2] for line in done.stdout.splitlines()]
    assert said[-1] == "end", done.stdout + done.stderr


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_that_is_killed_is_started_again_and_resumes(retries: int, tmp_path: Path, faces_root: Path) -> None:
    again = f"hydra.launcher.ray.remote.max_retries={retries}"
    with started(faces_root, tmp_path, RAY, TWO, again, jobs=2) as process:
        victim, survivor = workers(tmp_path)
        killed = time.time()
        os.kill(victim, signal.SIGKILL)
        end = time.monotonic() + 120
        while (
            sum(path.stat().st_mtime > killed + 1 for path in tmp_path.glob("sweep/*/checkpoints/last.ckpt")) <= retries
        ):
            assert time.monotonic() < end, (tmp_path / "printed.txt").read_text()
            time.sleep(0.2)
        assert survivor in workers(tmp_path)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)
    statuses = [result["status"] for result in results(tmp_path / "sweep")]
    assert sum(status.startswith("stopped: interrupted") for status in statuses) == 1 + retries
    assert statuses.count("running") == 1 - retries


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of this machine that was started elsewhere; gives its address."""
    (tmp_path / "elsewhere").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    quiet = ("--include-dashboard=false", "--disable-usage-stats", f"--port={port}")
    with (tmp_path / "cluster.txt").open("w") as said:  # `ray stop` would end the clusters of other tests, too
        process = subprocess.Popen([*command, *quiet], cwd=tmp_path / "elsewhere", stdout=said, stderr=said)
    end = time.monotonic() + 120
    while "Ray runtime started" not in (tmp_path / "cluster.txt").read_text():
        assert process.poll() is None, (tmp_path / "cluster.txt").read_text()
        assert time.monotonic() < end, (tmp_path / "cluster.txt").read_text()
        time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=60)


def test_a_project_sweeps_over_its_own_net_on_a_cluster(cluster: str, tmp_path: Path) -> None:
    write_project(tmp_path, "facelab")
    small = ("trainer=debug", "crop.size=32", "data.batch_size=8", "data.subjects=12", "data.frames=3", "data.size=96")
    command = [sys.executable, "-m", "fkd", "train", "-m", RAY, f"hydra.launcher.ray.init.address={cluster}"]
    arguments = ("model=tiny", "loss=huber", "seed=0,1", "hydra.sweep.dir=sweep", *small)
    done = subprocess.run([*command, *arguments], cwd=tmp_path / "facelab", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [result["status"] for result in results(tmp_path / "facelab/sweep")] == ["done", "done"]
    assert (tmp_path / "facelab/data/synthetic").is_dir()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_address_where_no_cluster_answers_is_said(tmp_path: Path, faces_root: Path) -> None:
    done = sweep(tmp_path, faces_root, "seed=0,1", "hydra.launcher.ray.init.address=127.0.0.1:1")
    assert done.returncode == 2
    assert "hydra.launcher.ray.init.address=127.0.0.1:1: expected a Ray cluster that answers, found" in done.stderr
