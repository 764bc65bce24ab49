"""Commands that are killed (SIGKILL, all their processes), and must end as if nothing had happened.

`python -m tests.faults.test_kills 100 1` kills 100 times with seed 1 and says what was hit and what came of it;
names of commands can follow.

One kill in two falls on a random moment of the command's duration, the other on the moment before one of its changes of
files: so also those are hit that take no time.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401
import onnxscript  # noqa: F401
import optuna  # noqa: F401
import torch
import torch.utils.tensorboard
import yaml
from hydra.core.global_hydra import GlobalHydra

import fkd.commands.compare
import fkd.commands.explore
import fkd.commands.export
import fkd.commands.predict
import fkd.commands.prepare
import fkd.commands.shard
import fkd.commands.train
import fkd.config.faces  # noqa: F401
from fkd.io import images
from fkd.io.atomic import is_locked
from fkd.synthetic import face
from tests.conftest import PROJECT, write_faces
from tests.io.download.serving import served
from tests.io.download.test_archives import zipped
from tests.training.runs.killing import ended, logged, start, wait

_TIMES = {"seconds", "train_images_per_s", "started", "date", "environment"}
"""Keys of JSON files that no two runs share."""
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
"""Python's audit events that change files, beside that of opening one to write."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_IN_CI = 10


@dataclass(frozen=True)
class Command:
    """A command in an empty folder beside `given`, in which its input lies.

    Attributes:
        script: its name.
        arguments: of the command.
        resumes: the run or sweep that `resume=` continues once it is there; "": the same command is given again.
    """

    script: str
    arguments: tuple[str, ...]
    resumes: str = ""


SET = ("data=udacity", "data.root=../given/faces", "data.cache_dir=cache", "data.val_share=0.3")
SMALL = ("crop.size=32", "trainer=debug", "data.batch_size=8", "data.num_workers=0", "scheduler=none")
DRAWN = ("data=synthetic", "data.root=drawn", "data.subjects=8", "data.frames=3", "data.size=96")
NET = "ckpt=../given/run/checkpoints/best.ckpt"
TPE = ("sweep=tpe", "data.batch_size=4,8", "hydra.sweeper.n_trials=3", "test=false", "hydra.sweep.dir=sweep")
PICTURES = ("input=../given/pictures", "output=out", "detector=whole_image", "pts=true", "csv=true")
PATIENT = ("data.cache_dir=cache", "pause=0.001", "tries=3")
COMMANDS = {
    "train": Command("train", (*SET, *SMALL, "trainer.max_epochs=3", "hydra.run.dir=run"), "run"),
    "sweep": Command("train", ("-m", *DRAWN, *SMALL, "seed=0,1", "test=false", "hydra.sweep.dir=sweep")),
    "sweep=tpe": Command("train", ("-m", *SET, *SMALL, *TPE), "sweep"),
    "shard": Command("shard", (*SET, "output=shards", "size=5")),
    "explore": Command("explore", (*SET, "output=out", "faces=3")),
    "compare": Command("compare", ("runs=../given", "output=out", "resamples=100")),
    "predict": Command("predict", (NET, *PICTURES)),
    "export": Command("export", (NET, *SET, "output=net.onnx", "crops=4")),
    "prepare": Command("prepare", ("data=udacity", "data.root=set", *PATIENT)),
}


class Workplace:
    """A folder with the input of all commands, in which each of them runs in the same empty folder `work`.

    Args:
        root: the folder.
        url: of the archive that `prepare` downloads.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.work, self._url = root, root / "work", url
        self.log, self._seen = root / "log.txt", root / "seen.txt"
        self._whole: dict[str, tuple[float, int]] = {}

    def start(self, command: Command, last: int = -1) -> int:
        """Starts a command in a process group of its own, in which it kills itself before its change number `last`."""
        self.work.mkdir(exist_ok=True)
        arguments = [*command.arguments]
        if command.script == "prepare":
            arguments.append(f"data.download.url={self._url}")
        begun = self.work / command.resumes
        if command.resumes and ((begun / "result.json").exists() or (begun / "multirun.yaml").exists()):
            arguments = [f"resume={command.resumes}"]
        child = start(arguments, self.log, command.script, partial(self._at_first, last))
        with suppress(OSError):
            os.setpgid(child, child)  # here, too: otherwise it may be killed before it has its group
        return child

    def _at_first(self, last: int) -> None:
        """In the child."""
        with suppress(OSError):
            os.setpgid(0, 0)
        os.chdir(self.work)
        os.environ["no_proxy"] = "*"
        GlobalHydra.instance().clear()
        seen, count = os.open(self._seen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 0

        def hook(event: str, given: tuple[Any, ...]) -> None:
            nonlocal count
            if event in _CHANGES or (event == "open" and given[2] & _WRITING):
                name = os.fsdecode(given[0]) if isinstance(given[0], str | bytes | os.PathLike) else ""
                if (path := (self.work / name)).is_relative_to(self.work):
                    if count == last:
                        os.killpg(0, signal.SIGKILL)
                    count += 1
                    os.write(seen, f"{event} {path.relative_to(self.work)}\n".encode())

        sys.addaudithook(hook)

    def whole(self, name: str) -> tuple[float, int]:
        """Seconds and number of changes of a run that is not killed; its files stay, for comparison."""
        if name not in self._whole:
            begin = time.monotonic()
            assert wait(self.start(COMMANDS[name])) == 0, self.log.read_text()
            self._whole[name] = time.monotonic() - begin, len(self.changes())
            self.work.rename(self.root / name)
        return self._whole[name]

    def changes(self) -> list[str]:
        """The changes of files up to now by the last command."""
        return self._seen.read_text().splitlines()

    def kill(self, name: str, choose: random.Random) -> tuple[str, list[str]]:
        """Kills a command once, and gives it again: the last change before the kill, and what is wrong in the end."""
        (seconds, changes), command = self.whole(name), COMMANDS[name]
        self.log.unlink()
        if choose.random() < 0.5:
            child, kind = self.start(command, choose.randrange(changes)), "before a change"
        else:
            child, kind = self.start(command), "at a moment"
            end = time.monotonic() + choose.uniform(0, seconds)
            while time.monotonic() < end and not ended(child):
                time.sleep(0.002)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        if wait(child) != -signal.SIGKILL:
            kind = "too late"
        done = self.changes() if self._seen.exists() else []
        stage = f"{kind}, {len(done)} of {changes}: {done[-1] if done else 'start'}"
        was_done = self.work.exists() and not differences(self.root / name, self.work)
        status = wait(self.start(command))
        faults = (
            [] if status == 0 or (status == 2 and was_done) else [f"status {status}: {self.log.read_text()[-2000:]}"]
        )
        faults = faults or differences(self.root / name, self.work)
        shutil.rmtree(self.work)
        return stage, faults


@contextmanager
def workplace(root: Path) -> Iterator[Workplace]:
    """A workplace with faces, pictures, two runs and a server."""
    faces = write_faces(root / "given/faces", subjects=8, frames=3)
    for number, name in enumerate(("a.png", "b.jpg", "below/c.png")):
        (root / "given/pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(root / "given/pictures" / name, face(0, number, 0, 128)[0])
    files = {path.relative_to(faces).as_posix(): path.read_bytes() for path in faces.rglob("*") if path.is_file()}
    with served(zipped({f"P1_Facial_Keypoints-master/data/{name}": data for name, data in files.items()})) as server:
        place = Workplace(root, server.url)
        for run in ("run", "other"):
            made = Command("train", (*SET, *SMALL, f"hydra.run.dir=../given/{run}"))
            assert wait(place.start(made)) == 0, place.log.read_text()
        shutil.rmtree(place.work)
        yield place


def differences(whole: Path, cut: Path) -> list[str]:
    """What differs between the files of a command that was not killed and one that was."""
    one, other = files(whole), files(cut)
    faults = [f"only in one: {name}" for name in sorted(one.keys() ^ other.keys())]
    for name in sorted(one.keys() & other.keys()):
        before, after = content(one[name]), content(other[name])
        if isinstance(before, dict) and isinstance(after, dict):
            changed = (key for key in before | after if before.get(key) != after.get(key))
            faults += [f"{name} {key}: {before.get(key)!s:.300} {after.get(key)!s:.300}" for key in changed]
        elif before != after:
            faults.append(name)
    return faults + [f"stale lock: {name}" for name, path in other.items() if ".lock" in name and is_locked(path)]


def files(folder: Path) -> dict[str, Path]:
    """Name -> file; names of caches without the hash of paths and times, and all files of TensorBoard as one."""
    leaves = (path for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir()))
    paths = {path.relative_to(folder).as_posix(): path for path in leaves}
    return {re.sub(r"-[0-9a-f]{20}|(?<=/)events\.out\..*", "", name): path for name, path in paths.items()}


def content(path: Path) -> object:
    """What two runs must share of a file."""
    if path.suffix == ".ckpt":
        state = torch.load(path, weights_only=True)
        return {name: tensor.numpy().tobytes() for name, tensor in state["state_dict"].items()}
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text()))
    if path.name == "metrics.csv":
        return logged(path)
    if path.suffix == ".yaml":  # Hydra's, with times and what was resumed
        return type(yaml.safe_load(path.read_text()))
    if path.suffix == ".db" or path.is_dir() or "tfevents" in path.name:
        return None
    return path.read_bytes()


def without_times(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: without_times(value) for key, value in values.items() if key not in _TIMES}
    return [*map(without_times, values)] if isinstance(values, list) else values


def run(place: Workplace, kills: int, seed: int, names: Sequence[str] = tuple(COMMANDS)) -> dict[str, Any]:
    """Kills each command as often as the others: what was hit, and what was wrong afterwards."""
    choose, begin = random.Random(seed), time.monotonic()
    hit: dict[str, list[str]] = {name: [] for name in names}
    faults = []
    for number in range(kills):
        name = names[number % len(names)]
        for _ in range(5):  # the first run, which is not killed, may be slower than later ones
            stage, found = place.kill(name, choose)
            if found or not stage.startswith("too late"):
                break
        hit[name].append(stage)
        faults += [f"{name}, killed {stage}: {fault}" for fault in found]
        print(f"{number + 1}: {name} {stage} {found[:3] or 'the same in the end'}", file=sys.stderr, flush=True)
    too_late = sum(stage.startswith("too late") for stages in hit.values() for stage in stages)
    return {"kills": kills - too_late, "hit": hit, "faults": faults, "seconds": round(time.monotonic() - begin)}


def test_commands_that_are_killed_end_the_same_when_they_are_given_again() -> None:
    """In a process of its own: one that has used threads of torch's autograd cannot train in a fork."""
    words = [sys.executable, "-m", "tests.faults.test_kills", str(_IN_CI), "0"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["faults"] == []
    assert report["kills"] > _IN_CI / 2


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, workplace(Path(name)) as place:
        kills, seed, *names = sys.argv[1:]
        print(json.dumps(run(place, int(kills), int(seed), names or tuple(COMMANDS)), indent=1))
