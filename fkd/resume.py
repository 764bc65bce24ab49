"""`resume=DIR`: the command line of a run or sweep that was cut, from what its folder holds."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from fkd.errors import UserError


def command_line(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `resume=DIR` has become the overrides of the run or sweep in that folder.

    Other arguments come after those, so they win: `resume=DIR trainer.max_epochs=100`.

    Raises:
        UserError: there is no run or sweep of fkd in the folder.
    """
    folders = [argument.removeprefix("resume=") for argument in arguments if argument.startswith("resume=")]
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    if not folders:
        return others
    folder = Path(folders[-1].strip("'\""))
    if (sweep := folder / "multirun.yaml").is_file():
        overrides = _read_sweep(sweep)
        return [*overrides, *others, f"hydra.sweep.dir={_quoted(folder)}"]
    overrides = _read_run(folder / "result.json")
    run = ["hydra.mode=RUN", f"hydra.run.dir={_quoted(folder)}", "ckpt_path=last"]  # also of a sweep's job
    return [*overrides, *others, *run]


def _read_run(path: Path) -> list[str]:
    try:
        overrides = json.loads(path.read_text())["overrides"]
    except FileNotFoundError:
        raise UserError(
            f"resume={path.parent}: expected the folder of a run (with result.json) or of a sweep (with "
            "multirun.yaml), found neither; give a folder below outputs"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        overrides = None
    return _texts(overrides, path)


def _read_sweep(path: Path) -> list[str]:
    try:
        overrides = yaml.safe_load(path.read_text())["hydra"]["overrides"]
        given = [*overrides["hydra"], *overrides["task"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        given = None
    return ["--multirun", *(text for text in _texts(given, path) if not text.startswith("hydra.sweep.dir="))]


def _texts(overrides: object, path: Path) -> list[str]:
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise UserError(
            f"resume={path.parent}: expected overrides in {path.name}, found a broken file; give them again"
        )
    return overrides


def _quoted(folder: Path) -> str:
    text = str(folder).replace("'", "\\'")
    return f"'{text}'"
