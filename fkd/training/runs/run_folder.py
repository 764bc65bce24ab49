"""The folder of one run: what it says of itself from its first second on, and how a run goes on that was cut."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fkd.distributed import is_first
from fkd.errors import BAD_OBJECTIVE, Stopped, UserError
from fkd.io.atomic import is_locked, locked, whole_file
from fkd.training.runs.command_line import command

ELSEWHERE = "give another folder: hydra.run.dir=DIR, or hydra.sweep.dir=DIR for a sweep"
"""What to do where a folder holds something else."""


class Run:
    """`result.json` of a run, written when the run begins and again when it ends, however it ends.

    The block ends with status "done"; with "stopped: why" if training diverged, was pruned or interrupted; else with
    "failed: why". Exceptions go on. As long as it lasts no other process can train in the folder.

    What a run has learned is never written over: the run's own command goes on with it (but for keys that say where and
    how to compute), and so does `ckpt_path="last"`, with which more may differ as long as the run is not over.

    Args:
        folder: the run folder.
        overrides: of the command line, in Hydra's words.
        settings: what tells runs apart.
        ckpt_path: where training begins: a checkpoint, "last" for that of the folder, or None.

    Attributes:
        start: the checkpoint where training begins; None for the very beginning.
        goes_on: whether that is the run's own.

    Raises:
        UserError: there is no run to go on with, or the folder holds another one, or a sweep.
    """

    def __init__(
        self, folder: str | Path, overrides: Sequence[str], settings: Mapping[str, Any], ckpt_path: str | None
    ) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "result.json"
        self.before = _read(self.path)
        self.values: dict[str, Any] = {
            "status": "running",
            "overrides": [override for override in overrides if not override.startswith("ckpt_path=")],
            "ckpt_path": self.before.get("ckpt_path") if ckpt_path == "last" else ckpt_path,
            "settings": dict(settings),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": 0.0,  # of the starts before this one, until the run ends
        }
        self._check_folder(resumes=ckpt_path == "last")
        self.start = self._where_to_begin()
        self.goes_on = self.start == self._last
        self._open = ExitStack()

    @property
    def _last(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do in this folder: it is done, or would diverge or be pruned once more."""
        status = str(self.before.get("status", ""))
        return status == "done" or (status.startswith("stopped: ") and not status.startswith("stopped: interrupted"))

    @property
    def objective(self) -> float:
        """The value that a run gave which is over."""
        return float(self.before.get("objective", BAD_OBJECTIVE))

    def _check_folder(self, resumes: bool) -> None:
        if (self.folder / "multirun.yaml").exists():
            raise UserError(f"{self.folder}: expected the folder of a run, found that of a sweep; {ELSEWHERE}")
        if resumes and not self.before:
            raise UserError(
                f"ckpt_path=last: expected a run that was begun, found none in {self.folder}; give its folder, too: "
                "hydra.run.dir=DIR, or resume=DIR alone"
            )
        learned = any(self.folder.glob("checkpoints/*.ckpt"))
        if self.before and (self.is_over or (learned and not resumes)) and not _same(self.before, self.values):
            then, now = (" ".join(_words(values)) or "no overrides" for values in (self.before, self.values))
            raise UserError(
                f"{self.folder}: expected the command of the run that is there ({then}; "
                f"{self.before['status']}), found {now}; {ELSEWHERE}"
            )

    def _where_to_begin(self) -> Path | None:
        """The run's own last.ckpt; where it was cut before there was one, it begins as it did."""
        if self.before and self._last.exists():
            self.values["seconds"] = self._seconds_until(self._last)
            return self._last
        return None if self.values["ckpt_path"] is None else Path(self.values["ckpt_path"])

    def _seconds_until(self, last: Path) -> float:
        """How long the run had taken when it was cut; a process that was killed counts until its last save."""
        seconds = float(self.before.get("seconds", 0.0))
        if self.before["status"] == "running":
            started = datetime.fromisoformat(self.before["started"]).timestamp()
            seconds += max(last.stat().st_mtime - started, 0.0)
        return round(seconds, 1)

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        if is_first():  # the processes of ddp share the folder
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                alone = self._open.enter_context(locked(self.folder / ".lock", wait=False))
            except OSError as error:
                raise _unwritable(self.folder, error) from None
            if not alone and is_locked(self.folder / ".lock"):
                raise UserError(
                    f"{self.folder}: expected no other process to train here, found one; wait for it, or {ELSEWHERE}"
                )
            if _read(self.path) != self.before:
                raise UserError(
                    f"{self.folder}: expected no other process to train here, found one that has just left; give the "
                    "command again"
                )
            for leftover in self.folder.glob("checkpoints/.*.tmp"):  # of a process that was killed
                leftover.unlink()
            write_json(self.path, self.values)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cut = isinstance(error, KeyboardInterrupt | SystemExit)  # Lightning turns the first into the second
        why = " ".join(str(error).split()) or type(error).__name__
        if error is None:
            self.values["status"] = "done"
        elif cut or isinstance(error, Stopped):
            self.values["status"] = f"stopped: {'interrupted' if cut else why}"
        else:
            self.values["status"] = f"failed: {why}"
        self.values["seconds"] = round(self.values["seconds"] + time.monotonic() - self._start, 1)
        if is_first():
            refused = isinstance(error, UserError) and self.before  # so nothing has changed
            with self._open:
                write_json(self.path, self.before if refused else self.values)


def write_json(path: Path, values: Mapping[str, Any] | Sequence[Any]) -> None:
    """Writes JSON to a temporary name and renames it.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(json.dumps(values, indent=2).encode() + b"\n")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written ({error.strerror}); {ELSEWHERE}")


def _read(path: Path) -> dict[str, Any]:
    """What an earlier start has written; nothing where there was none.

    Raises:
        UserError: it cannot be read.
    """
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        content = error
    if not isinstance(content, dict) or not isinstance(content.get("overrides"), list) or "status" not in content:
        raise UserError(f"{path}: expected what a run says of itself, found a broken file; {ELSEWHERE}")
    return content


def _words(values: Mapping[str, Any]) -> list[str]:
    begins = [] if values.get("ckpt_path") is None else [f"ckpt_path={values['ckpt_path']}"]
    return [*values["overrides"], *begins]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return command(_words(one)) == command(_words(other))
