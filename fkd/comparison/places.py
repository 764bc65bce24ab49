"""The folders of the runs and of the comparison."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from fkd.comparison.evaluations import EVALUATION
from fkd.errors import UserError


def folders(runs: str | Iterable[object]) -> list[Path]:
    """The folders that `runs` names: one name, a glob, or a list of both.

    Raises:
        UserError: there is no such folder.
    """
    found = [path for value in ([runs] if isinstance(runs, str | int) else runs) for path in _folders(str(value))]
    if not found:
        raise UserError("runs=[]: expected a folder of runs, sweeps or evaluations, found none; give runs=DIR")
    return found


def alone(arguments: list[str]) -> list[str]:
    """The arguments of a command without a sweep.

    Raises:
        UserError: they start a sweep, which would create a folder of its own.
    """
    if {"-m", "--multirun"} & set(arguments):
        raise UserError("-m: expected one comparison, found a sweep of them; runs=[DIR,DIR] compares several folders")
    return arguments


def output_folder(output: Path | None, runs: Sequence[Path]) -> Path:
    """The output folder; by default the folder of the runs, for a single run `comparison` in it.

    Raises:
        UserError: no output is given for several folders, or it is the folder of a run.
    """
    if output is None:
        if len(runs) > 1:
            raise UserError(f"output: expected a folder, since runs are in {len(runs)} of them; give output=DIR")
        output = runs[0] / "comparison" if _is_run(runs[0]) else runs[0]
    if _is_run(output):
        raise UserError(f"output={output}: is a run's own folder, whose ced.png would be lost; give another output=DIR")
    return output


def _is_run(folder: Path) -> bool:
    return (folder / "result.json").exists() or (folder / EVALUATION).exists()


def _folders(value: str) -> list[Path]:
    if value and Path(value).is_dir():
        return [Path(value)]
    found = sorted(path for name in glob.glob(value, recursive=True) if (path := Path(name)).is_dir())
    if not found:
        kind = "a file" if Path(value).is_file() else "no such folder"
        raise UserError(
            f"runs={value}: expected a folder of runs, sweeps or evaluations, a glob or a list [DIR,DIR], found {kind}"
        )
    return found
