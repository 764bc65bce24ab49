"""Runs with the earlier runs whose weights they start from, and descriptions of their recipes."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fkd.comparison import Run, read
from fkd.comparison.settings import short_names, text
from fkd.errors import UserError
from fkd.training.runs.command_line import is_learned

_NAMED = {"model", "experiment", "data", "data.split", "trainer.max_epochs", "weights", "seed", "test", "boxes"}
"""Settings that are elsewhere in a name or in the record."""


@dataclass(frozen=True)
class Training:
    """A run with the runs whose weights it starts from.

    Attributes:
        run: has the best checkpoint.
        earlier: the run whose weights it started from, the run whose weights that one started from, and so on.
        start_unknown: whether the earliest of them started from a checkpoint whose run is missing.
    """

    run: Run
    earlier: tuple[Run, ...]
    start_unknown: bool

    @property
    def model(self) -> str:
        """The config's name of the network."""
        return str(self.run.settings.get("model"))

    @property
    def recipe(self) -> str:
        """A description of the settings, without model, split and seed."""
        stages = [_recipe(run) for run in self.earlier] + ["other weights"] * self.start_unknown
        return _recipe(self.run) + (f", after {' and '.join(reversed(stages))}" if stages else "")

    @property
    def commands(self) -> list[str]:
        """Commands of all its runs, in order; DIR, RUN1, RUN2, ... are folders, LOST is a missing checkpoint."""
        start, commands = "LOST" if self.start_unknown else "", []
        for number, run in enumerate([*reversed(self.earlier), self.run], start=1):
            commands.append(_command(run, start))
            start = f"RUN{number}/checkpoints/best.ckpt"
        return commands

    @property
    def minutes(self) -> float | None:
        """The duration of all its runs; None if it is unknown."""
        seconds = [run.seconds for run in (self.run, *self.earlier)]
        known = [value for value in seconds if value is not None]
        return None if self.start_unknown or len(known) < len(seconds) else round(sum(known) / 60, 2)

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.run.path / "checkpoints" / "best.ckpt"


def trainings(folders: Sequence[Path], data: str) -> tuple[list[Training], dict[str, str]]:
    """The trainings on `data` in and below the folders; and the runs left out, with the reason.

    Raises:
        UserError: no run can be used.
    """
    done, left_out = list[Training](), {}
    runs = read(folders)
    origins = _origins(runs)
    for run in runs:
        training = _training(run, origins)
        if run.settings.get("data") != data:
            left_out[run.name] = f"data={run.settings.get('data')}"
        elif run.status != "done":
            left_out[run.name] = run.status + (run.reason and f": {run.reason}")
        elif not training.best.is_file():
            left_out[run.name] = f"{training.best} is missing"
        else:
            done.append(training)
    if not done:
        where = ", ".join(map(str, folders))
        raise UserError(
            f"runs={where}: expected runs with data={data} that are done, found none; train some, or give their folder"
        )
    return done, left_out


def _training(run: Run, origins: Mapping[Path, Run]) -> Training:
    earlier, last = list[Run](), run
    while (folder := _origin(last)) is not None and folder in origins and origins[folder] not in earlier:
        last = origins[folder]
        earlier.append(last)
    trained_on = any(one.ckpt_path is not None for one in (run, *earlier))
    return Training(run, tuple(earlier), trained_on or _origin(last) is not None)


def _origins(runs: Sequence[Run]) -> dict[Path, Run]:
    """Folder -> run: the runs whose weights the runs started from, and so on, as far as they exist."""
    folders, found = set[Path](), dict[Path, Run]()
    while new := {folder for run in (*runs, *found.values()) if (folder := _origin(run)) is not None} - folders:
        folders |= new
        found |= {run.path: run for f in new if (f / "result.json").is_file() for run in read([f]) if run.path == f}
    return found


def _origin(run: Run) -> Path | None:
    """The folder of the run whose weights a run started from, if any."""
    weights = run.settings.get("weights")
    return None if weights is None else Path(str(weights)).resolve().parent.parent


def _recipe(run: Run) -> str:
    count = run.settings.get("trainer.max_epochs")
    name = str(run.settings.get("experiment") or f"data={run.settings.get('data')}")
    keys = [_key(override) for override in _learned(run) if _key(override) not in _NAMED]
    parts = [f"{short}={_text(run.settings.get(key))}" for key, short in short_names(list(dict.fromkeys(keys))).items()]
    return ", ".join([name, *parts, f"{count} epoch{'' if count == 1 else 's'}"])


def _text(value: object) -> str:
    return "null" if value is None else text(value)


def _command(run: Run, weights: str) -> str:
    """The command as typed, without paths and hardware settings."""
    own = [override for override in _learned(run) if _key(override) not in ("weights", "test", "boxes", "ckpt_path")]
    places = ["data.root=DIR"] if any(_key(override) == "data.root" for override in run.overrides) else []
    places += [f"weights={weights}"] if weights else []
    return " ".join(["python scripts/train.py", *map(shlex.quote, own), *places])


def _learned(run: Run) -> list[str]:
    return [override for override in run.overrides if is_learned(_key(override))]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
