"""The folder of one run: its `result.json`, its lock, and how it resumes after an interruption."""

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fkd.distributed import is_first
from fkd.errors import BAD_OBJECTIVE, Stopped, UserError, short
from fkd.io.atomic import is_locked, locked, refusal, whole_file
from fkd.training.runs.command_line import command
from fkd.training.runs.reading import number, read_json

ELSEWHERE = "give another folder: hydra.run.dir=DIR, or hydra.sweep.dir=DIR for a sweep"
"""Advice for a folder that holds something else."""


class Run:
    """A block that trains in a run folder; `result.json` is written when it starts and when it ends.

    The block ends with status "done"; with "stopped: reason" if training diverged, was pruned or interrupted; else with
    "failed: reason". Exceptions are not caught, but a full disk and a removed folder are said in one line. The folder
    is locked against other processes.

    A run is never overwritten: repeating its command resumes it (keys that only say where and how to compute may
    differ), and so does `ckpt_path="last"`, with which other keys may differ, too, until the run is over.

    Args:
        folder: the run folder.
        overrides: overrides of the command line.
        settings: settings that distinguish runs.
        ckpt_path: start of the training: a checkpoint, "last" for the folder's own, or None.

    Attributes:
        start: the checkpoint from which training starts, or None.
        is_resumed: whether `start` is the run's own checkpoint.

    Raises:
        UserError: there is no run to resume, or the folder holds another run or a sweep; at the end of the block, the
            folder was removed or cannot be written to.
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
            "seconds": 0.0,  # of earlier processes, until this one ends
        }
        self._check_folder(resumes=ckpt_path == "last")
        last = self.folder / "checkpoints" / "last.ckpt"
        if self.before and last.exists():
            self.start: Path | None = last
            self.values["seconds"] = self._seconds_until(last)
        else:  # without a last.ckpt, an interrupted run starts again
            self.start = None if self.values["ckpt_path"] is None else Path(self.values["ckpt_path"])
        self.is_resumed = self.start == last
        self._open = ExitStack()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: the run is done, or would diverge or be pruned again."""
        status = str(self.before.get("status", ""))
        return status == "done" or (status.startswith("stopped: ") and not status.startswith("stopped: interrupted"))

    @property
    def objective(self) -> float:
        """The objective of a run that is over, for a sweep."""
        objective = self.before.get("objective")
        return BAD_OBJECTIVE if objective is None else float(objective)

    def _check_folder(self, resumes: bool) -> None:
        if (self.folder / "multirun.yaml").exists():
            raise UserError(f"{self.folder}: expected the folder of a run, found that of a sweep; {ELSEWHERE}")
        if resumes and not self.before:
            raise UserError(
                f"ckpt_path=last: expected a run to resume, found none in {self.folder}; give its folder, too: "
                "hydra.run.dir=DIR, or resume=DIR alone"
            )
        learned = any(self.folder.glob("checkpoints/*.ckpt"))
        if not self.before or not (self.is_over or (learned and not resumes)):
            return
        then, now = _overrides(self.before), _overrides(self.values)
        if command(then) != command(now):
            if resumes:
                raise UserError(self._advice_on_what_is_over(now))
            raise UserError(
                f"{self.folder}: expected the command of the run in this folder ({' '.join(then) or 'no overrides'}; "
                f"{self.before['status']}), found {' '.join(now) or 'no overrides'}; {ELSEWHERE}"
            )

    def _advice_on_what_is_over(self, overrides: Sequence[str]) -> str:
        """What to do instead of resuming a run that is over with other settings, such as more epochs."""
        given = {override.partition("=")[0]: override for override in overrides if override != "ckpt_path=last"}
        why = ": its learning rate has reached the end of its schedule" if self.before["status"] == "done" else ""
        best = self.folder / "checkpoints" / "best.ckpt"
        start = f"; or start from its net, with weights={best} added" if best.exists() else ""
        over = f"{self.folder}: this run is over ({self.before['status']}) and cannot go on with other settings{why}"
        return f"{over}. Train anew: fkd train {shlex.join(given.values())}{start}"

    def _seconds_until(self, last: Path) -> float:
        """The duration of the run so far; a process that was killed counts until its last save."""
        seconds = float(self.before.get("seconds") or 0.0)
        if self.before["status"] == "running" and self.before.get("started") is not None:
            started = datetime.fromisoformat(self.before["started"]).timestamp()
            seconds += max(last.stat().st_mtime - started, 0.0)
        return round(seconds, 1)

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        if is_first():  # the ranks of ddp share the folder
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
                    f"{self.folder}: expected no other process to train here, found one that has just ended; repeat "
                    "the command"
                )
            write_json(self.path, self.values)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        problem = None if isinstance(error, UserError) else self._problem(error)
        reason = " ".join(str(problem or error).split()) or type(error).__name__
        if problem is None and error is None:
            self.values["status"] = "done"
        elif problem is None and isinstance(error, KeyboardInterrupt | SystemExit):  # Lightning raises the second
            self.values["status"] = "stopped: interrupted"
        else:
            self.values["status"] = f"{'stopped' if isinstance(error, Stopped) else 'failed'}: {reason}"
        self.values["seconds"] = round(self.values["seconds"] + time.monotonic() - self._start, 1)
        if is_first():
            refused = isinstance(error, UserError) and self.before  # nothing has changed
            with self._open, suppress(*() if error is None else (UserError,)):  # the first error says more
                if self.path.exists():
                    write_json(self.path, self.before if refused else self.values)
        if problem is not None:
            raise problem from error

    def _problem(self, error: BaseException | None) -> UserError | None:
        """What the folder has to do with the end of the block: it was removed, or the system refused to write."""
        if not self.path.exists():
            return UserError(f"{self.folder}: the run's folder was removed while it trained; give its command again")
        if (refused := refusal(error)) is None:
            return None
        epochs = whole_checkpoints(self.folder / "checkpoints")
        whole = ", ".join(f"{path.name} of epoch {epoch}" for path, epoch in epochs.items()) or "no checkpoint yet"
        return UserError(
            f"{refused.filename or self.folder}: cannot be written ({refused.strerror}); whole: {whole}; make room, "
            f"then resume={self.folder} continues"
        )


def whole_checkpoints(folder: Path) -> dict[Path, int]:
    """Path -> epoch of each checkpoint of a run that can be read."""
    from fkd import checkpoint  # loads torch, which runs that are over do without

    epochs = {}
    for path in (folder / "best.ckpt", folder / "last.ckpt"):
        with suppress(UserError):
            epochs[path] = checkpoint.read(path, path.name)["scores"].get("epoch")
    return epochs


def write_json(path: Path, values: Mapping[str, Any] | Sequence[Any]) -> None:
    """Atomic write of JSON; missing folders are created.

    Raises:
        UserError: the file cannot be written.
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
    """Read the result of an earlier process; empty without one.

    Raises:
        UserError: the file is broken, or a value that resuming needs is of another type.
    """
    try:
        content = read_json(path.parent, path.name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected the result of a run, found a broken file ({error}); {ELSEWHERE}") from None
    for key, (expected, fits) in _KEYS.items():
        if not fits(content.get(key)):
            reason = f"{key}: expected {expected}, found {short(content.get(key))}"
            raise UserError(f"{path}: expected the result of a run, found a broken file ({reason}); {ELSEWHERE}")
    return content


def _is_date(value: Any) -> bool:
    try:
        datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return False
    return True


_KEYS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "status": ("text", lambda value: isinstance(value, str)),
    "overrides": ("a list of texts", lambda value: isinstance(value, list) and all(isinstance(o, str) for o in value)),
    "ckpt_path": ("text or null", lambda value: value is None or isinstance(value, str)),
    "started": ("a date", lambda value: value is None or _is_date(value)),
    "seconds": ("a number", lambda value: value is None or number(value) is not None),
    "objective": ("a number", lambda value: value is None or isinstance(value, float) or number(value) is not None),
}
"""Key of `result.json` that a later process reads -> what it holds."""


def _overrides(values: Mapping[str, Any]) -> list[str]:
    start = [] if values.get("ckpt_path") is None else [f"ckpt_path={values['ckpt_path']}"]
    return [*values["overrides"], *start]
