"""A Slurm of one node with two processors on this machine, as plain processes of the user who starts it.

python tests/slurm/slurm.py start DIR   # prints what a shell must export: eval "$(python ... start DIR)"
python tests/slurm/slurm.py stop DIR

Needs Debian's slurm-wlm and munge. All that it writes lies in DIR; a Slurm that the machine may have is not touched.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TEMPLATE = Path(__file__).with_name("slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch")
DAEMONS = ("slurmd", "slurmctld", "munged")
"""In the order in which they are stopped."""
os.environ["PATH"] += os.pathsep + "/usr/sbin"  # where Debian has the daemons, which not every user's PATH names


def missing() -> list[str]:
    """Programs that a Slurm needs and this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def start(folder: Path) -> Path:
    """Starts the daemons and waits until the node takes jobs.

    Args:
        folder: a new one, with a short path: a socket's has 108 characters at most.

    Returns:
        The configuration, for SLURM_CONF.

    Raises:
        RuntimeError: a daemon does not come up; what it logged last is in the message. Nothing is left running.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    values = {
        "folder": folder,
        "host": socket.gethostname().split(".")[0],
        "user": _user(),
        "controller_port": _free_port(),
        "node_port": _free_port(),
    }
    conf.write_text(TEMPLATE.read_text().format_map(values))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # nothing uses it; the default asks systemd
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    munge = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
    munge |= {"log-file": folder / "munged.log", "seed-file": folder / "munge.seed"}
    env = {**os.environ, "SLURM_CONF": str(conf)}
    try:  # --force: a folder that only its owner may enter is all right here
        _run("munged", "--force", "--num-threads=2", *(f"--{name}={path}" for name, path in munge.items()), env=env)
        _run("slurmctld", "-f", str(conf), env=env)
        _run("slurmd", "-f", str(conf), "-N", str(values["host"]), env=env)
        _wait(lambda: _node_state(env) == "idle", 30, "the node is idle")
    except (RuntimeError, subprocess.SubprocessError) as error:
        logs = (f"{path.name}:\n{_tail(path)}" for path in sorted(folder.glob("*.log")))
        said = getattr(error, "stderr", None) or ""
        stop(folder)
        raise RuntimeError("\n".join([f"Slurm did not start: {error}", said, *logs])) from error
    return conf


def stop(folder: Path) -> None:
    """Cancels all jobs and ends the daemons, by their own process ids."""
    env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        if (folder / "slurmctld.pid").exists():
            for how in ([], ["--signal=KILL", "--full"]):
                subprocess.run(["scancel", "--quiet", f"--user={_user()}", *how], env=env, timeout=60, check=False)
            _wait(lambda: not _output(["squeue", "--noheader"], env), 40, "all jobs are gone")
    finally:
        for name in DAEMONS:
            _end(folder / f"{name}.pid")


def _run(program: str, *arguments: str, env: dict[str, str]) -> None:
    """A daemon that goes to the background by itself once it has started."""
    subprocess.run([program, *arguments], env=env, check=True, capture_output=True, text=True, timeout=30)


def _end(pid_file: Path) -> None:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return
    try:
        _wait(lambda: not Path(f"/proc/{pid}").exists(), 20, f"process {pid} has ended")
    except RuntimeError:
        os.kill(pid, signal.SIGKILL)


def _node_state(env: dict[str, str]) -> str:
    return _output(["sinfo", "--noheader", "--format=%T"], env)


def _output(command: list[str], env: dict[str, str]) -> str:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False).stdout.strip()


def _wait(until: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds:.0f} s until {what}")
        time.sleep(0.2)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name  # not what the environment says


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _tail(path: Path, lines: int = 10) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start", folder]:
            print(f"export SLURM_CONF={start(Path(folder).absolute())}")
        case ["stop", folder]:
            stop(Path(folder).absolute())
        case _:
            sys.exit(__doc__)
