"""The folder of one run: what it says of itself from its first second on, and how a run goes on that was cut."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fkd.errors import BAD_OBJECTIVE, Stopped, UserError
from fkd.files import is_locked, locked, whole_file
from fkd.processes import is_first


class Run:
    """`result.json` of a run, written when the run begins and again when it ends, however it ends.

    The block ends with status "done"; with "stopped: why" if training diverged, was pruned or interrupted; else with
    "failed: why". Exceptions go on. As long as it lasts no other process can train in the folder.

    Args:
        folder: the run folder.
        overrides: of the command line, in Hydra's words.
        settings: what tells runs apart.
    """

    def __init__(self, folder: str | Path, overrides: Sequence[str], settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "result.json"
        self.before = _read(self.path)
        self.values: dict[str, Any] = {
            "status": "running",
            "overrides": [override for override in overrides if not override.startswith("ckpt_path=")],
            "settings": dict(settings),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": 0.0,  # of the starts before this one, until the run ends
        }
        self._open = ExitStack()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do in this folder: it is done, or would diverge or be pruned once more."""
        status = str(self.before.get("status", ""))
        return status == "done" or (status.startswith("stopped: ") and not status.startswith("stopped: interrupted"))

    @property
    def objective(self) -> float:
        """The value that a run gave which is over."""
        return float(self.before.get("objective", BAD_OBJECTIVE))

    def goes_on(self, ckpt_path: str | None, sweep: bool) -> bool:
        """Whether the run in this folder is to be finished, not made anew: asked for, or that of a sweep's same job."""
        return bool(self.before) and (
            ckpt_path == "last" or (sweep and self.before.get("overrides") == self.values["overrides"])
        )

    def checkpoint(self, ckpt_path: str | None, sweep: bool) -> Path | None:
        """Where training begins: a file, or None for the very beginning.

        A run that goes on takes its `last.ckpt`; if it was cut before there was one, it begins anew.

        Raises:
            UserError: there is no run to go on with, or a sweep's folder holds another job.
        """
        if self.goes_on(ckpt_path, sweep):
            path = self.folder / "checkpoints" / "last.ckpt"
            if not path.exists():
                return None
            self.values["seconds"] = self._seconds_until(path)
            return path
        if ckpt_path == "last":
            raise UserError(
                f"ckpt_path=last: expected a run that was begun, found none in {self.folder}; give its folder, too: "
                "hydra.run.dir=DIR, or resume=DIR alone"
            )
        if sweep and self.before:
            then, now = (" ".join(values.get("overrides", ())) for values in (self.before, self.values))
            raise UserError(
                f"hydra.sweep.dir: expected the sweep's own command, since {self.folder} holds a job with {then}, "
                f"found {now}; give another folder"
            )
        return None if ckpt_path is None else Path(ckpt_path)

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
                    f"{self.folder}: expected no other process to train here, found one; wait for it, or give another "
                    "place, e.g. hydra.run.dir=DIR"
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
            with self._open:
                write_json(self.path, self.values)


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
    return UserError(f"{path}: cannot be written ({error.strerror}); choose another folder, e.g. hydra.run.dir=DIR")


def _read(path: Path) -> dict[str, Any]:
    """What an earlier start has written; nothing where there is none, or none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
