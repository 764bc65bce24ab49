"""Sweeps whose jobs have processes of their own: what each preset starts, and what the processes share."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins

from fkd import distributed
from fkd.errors import BAD_OBJECTIVE, UserError
from tests.conftest import PROJECT, Outcome

Script = Callable[..., Outcome]
LAUNCHERS = ("joblib", "ray", "submitit_local", "submitit_slurm")
FAST = ("trainer=debug", "crop.size=32", "data.batch_size=8", "test=false", "hydra.sweep.dir=sweep")


def on(root: Path) -> tuple[str, ...]:
    return ("data=udacity", f"data.root={root}", "data.cache_dir=cache", "data.val_share=0.3")


def results(sweep: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(sweep.glob("*/result.json"))]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_preset_names_a_launcher_that_is_there(name: str) -> None:
    pytest.importorskip("submitit")
    pytest.importorskip("joblib")
    pytest.importorskip("ray")
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        launcher = compose("train", [f"hydra/launcher={name}"], return_hydra_config=True).hydra.launcher
    assert launcher._target_ in Plugins.instance().class_name_to_class


def test_joblib_runs_jobs_side_by_side_and_one_that_fails_alone(script: Script, faces_root: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = ("data.batch_size=8,1000", "hydra.launcher.n_jobs=2")
    outcome = script("train", "-m", "hydra/launcher=joblib", *on(faces_root), *FAST, *sweep)
    done, failed = results(Path("sweep"))
    assert outcome.status == 1
    assert done["status"] == "done"
    assert failed["status"].startswith("failed: data.batch_size: expected at most the 21")


@contextmanager
def started(root: Path, folder: Path, *arguments: str, jobs: int = 4) -> Iterator["subprocess.Popen[str]"]:
    """A sweep that does two long trainings at once, in a group of its own, as soon as both have saved an epoch."""
    command = [sys.executable, str(PROJECT / "scripts/train.py"), "-m", f"seed=range({jobs})", *on(root), *FAST[1:]]
    long = ("trainer=cpu", "trainer.max_epochs=5000", "callbacks.overlays=null", "data.num_workers=0")
    with (folder / "printed.txt").open("w") as printed:
        process = subprocess.Popen(
            [*command, *arguments, *long],
            cwd=folder,
            stdout=printed,
            stderr=printed,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        end = time.monotonic() + 120
        while len([*folder.glob("sweep/*/checkpoints/last.ckpt")]) < 2:
            assert process.poll() is None, (folder / "printed.txt").read_text()
            assert time.monotonic() < end, (folder / "printed.txt").read_text()
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_alone(group: int) -> bool:
    """Whether no process of a group is left, be it one that nobody has asked for its status."""
    states = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True).stdout.split()
    return all(state.startswith("Z") for state in states)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_joblibs_processes_save_and_end_with_the_sweep(number: int, tmp_path: Path, faces_root: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    with started(faces_root, tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2") as process:
        process.send_signal(number)
        status = process.wait(timeout=60)
        printed = (tmp_path / "printed.txt").read_text()
        end = time.monotonic() + 30  # killed, its processes notice by themselves; joblib's tracker ends after it always
        while not is_alone(process.pid):
            assert time.monotonic() < end
            time.sleep(0.2)
        if number != signal.SIGKILL:
            assert status == 1, printed
            (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
            assert line == "error: interrupted; its jobs have saved and ended, too; resume=sweep continues the sweep"
            assert "Traceback" not in printed
    ended = [result["status"] for result in results(tmp_path / "sweep")]
    assert len(ended) == 2  # the others never began
    assert all(status.startswith("stopped: interrupted by SIGTERM") for status in ended)


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("local", signal.SIGINT, "the jobs that run here end, too"),
        ("local", signal.SIGTERM, "the jobs that run here continue"),
        ("slurm", signal.SIGINT, "its jobs stay in Slurm's queue, scancel --name=train ends them"),
        ("slurm", signal.SIGTERM, "its jobs stay in Slurm's queue, scancel --name=train ends them"),
    ],
)
def test_a_signal_says_what_becomes_of_submitits_jobs(
    name: str, number: int, said: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cluster: the wait for the jobs is interrupted."""
    Plugins.instance()  # imports them, anew each, and would put back what is replaced here
    inner = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")

    def interrupted(self: object, *arguments: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(inner.BaseSubmititLauncher, "launch", interrupted)
    outcome = script("train", "-m", f"hydra/launcher=submitit_{name}", "seed=0,1", "hydra.sweep.dir=there")
    assert outcome.status == 1
    assert outcome.err == f"error: interrupted; {said}; resume=there continues the sweep\n"


def test_the_tasks_of_a_local_job_train_one_net(tmp_path: Path, faces_root: Path) -> None:
    pytest.importorskip("submitit")
    command = [sys.executable, str(PROJECT / "scripts/train.py"), "-m", "hydra/launcher=submitit_local"]
    tasks = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=1", "hydra.launcher.tasks_per_node=2")
    done = subprocess.run(
        [*command, *on(faces_root), *FAST, *tasks], cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    logs = sorted(tmp_path.glob("sweep/.submitit/*/*_log.*"))
    assert done.returncode == 0, "\n".join([done.stderr, *(path.read_text() for path in logs)])
    (result,) = results(tmp_path / "sweep")
    assert result["status"] == "done"
    (last,) = tmp_path.glob("sweep/*/checkpoints/last.ckpt")
    assert torch.load(last, weights_only=True)["global_step"] == 21 // 2 // 8
    assert [path.read_text().count("epoch 1/1") for path in logs if path.suffix == ".out"] == [1, 0]


def test_a_job_that_is_killed_is_worth_a_bad_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    from hydra_plugins.fkd_launchers.launchers import _waiting_for_all

    monkeypatch.setattr(submitit.Job, "_results_timeout_s", 0)
    executor = submitit.LocalExecutor(tmp_path)
    killed, done = executor.submit(signal.raise_signal, signal.SIGKILL), executor.submit(abs, -3)
    with _waiting_for_all():
        assert killed.results()[0].return_value == BAD_OBJECTIVE
        assert done.results() == [3]
    with pytest.raises(submitit.core.utils.UncompletedJobError):
        killed.results()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_without_its_extra_a_launcher_says_what_to_install(
    name: str, script: Script, monkeypatch: pytest.MonkeyPatch, faces_root: Path
) -> None:
    for library in ("joblib", "ray", "submitit"):
        monkeypatch.setitem(sys.modules, f"hydra_plugins.hydra_{library}_launcher.{library}_launcher", None)
    outcome = script("train", "-m", f"hydra/launcher={name}", *on(faces_root), *FAST)
    assert outcome.status == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert f"pip install 'fkd[{'ray' if name == 'ray' else 'sweep'}]'" in outcome.err


def test_jobs_side_by_side_divide_the_cores_and_load_their_data_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    joblib = pytest.importorskip("joblib")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    delayed = joblib.delayed
    asked = (delayed(torch.get_num_threads)(), delayed(distributed.loader_workers)("auto", 1))
    assert joblib.Parallel(n_jobs=3)(asked * 2) == [max(joblib.cpu_count() // 3, 1), 0] * 2
    with pytest.raises(UserError, match=r"data\.num_workers=3: expected 0 or auto"):
        joblib.Parallel(n_jobs=3)([delayed(distributed.loader_workers)(3, 0)] * 2)
    assert distributed.loader_workers("auto", 0) == 0
    assert distributed.loader_workers(3, 0) == distributed.loader_workers(3, 1) == 3


@pytest.mark.parametrize("asked", [-1, 1.5, "many", True, None])
def test_a_wrong_number_of_loaders_is_refused(asked: object) -> None:
    with pytest.raises(UserError, match=f"data.num_workers={asked}: expected auto or a whole number"):
        distributed.loader_workers(asked, 0)  # type: ignore[arg-type]


def test_opencv_gets_the_threads_of_torch() -> None:
    cv2.setNumThreads(3)
    distributed.share_threads()
    assert cv2.getNumThreads() == torch.get_num_threads() == 1


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "SUBMITIT_LOCAL_GLOBALID"])
def test_one_process_of_several_is_the_first(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.is_first()
    monkeypatch.setenv(name, "0")
    assert distributed.is_first()
    monkeypatch.setenv(name, "1")
    assert not distributed.is_first()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such signals")
def test_a_loader_outlives_all_signals_but_those_of_its_training() -> None:
    child = os.fork()
    if child == 0:
        distributed.outlive_signals(0)
        middle = os.getpid()
        if os.fork() == 0:  # somebody else
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGTERM):
                os.kill(middle, number)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.wait()[1])
        os.kill(middle, signal.SIGSTOP)  # still there: says so to its parent
        signal.pause()
        os._exit(status + 1)
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    os.kill(child, signal.SIGCONT)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("cores", "gpus", "cluster", "expected"),
    [(16, 1, False, 8), (16, 4, False, 3), (4, 1, False, 3), (2, 1, False, 1), (1, 2, False, 1), (4, 8, True, 3)],
)
def test_a_gpu_gets_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, gpus: int, cluster: bool, expected: int
) -> None:
    monkeypatch.setattr(distributed, "cores", lambda: cores)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    if cluster:  # which has given this process its cores
        monkeypatch.setenv("SLURM_PROCID", "3")
    assert distributed.loader_workers("auto", gpus) == expected
