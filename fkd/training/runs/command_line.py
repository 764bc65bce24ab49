"""`resume=DIR`: the command line of a run or sweep that was cut, from what its folder holds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from fkd.errors import UserError
from fkd.library_internals.hydra import parse

_PLACES = ("resume=", "hydra.run.dir=", "hydra.sweep.dir=", "ckpt_path=")
_HOW = {"tags", "task_name", "run_dir", "logger", "sweep"}
_HOW_OF_DATA = {"root", "cache_dir", "num_workers", "download"}
"""Parts of keys below `data` and `extra_train`: a set may be a part of others, and hands its settings on."""


_DISPLAY_CALLBACKS = {"overlays", "progress", "throughput"}
"""Callbacks that show a training and do not change it."""


def is_learned(key: str) -> bool:
    """Whether what a net learns depends on a key; where a run computes, loads, writes and logs makes no other run."""
    group, *parts = key.lstrip("+~").split(".")
    if group in ("data", "extra_train"):
        return not _HOW_OF_DATA.intersection(parts)
    if group == "callbacks" and parts:
        return parts[0] not in _DISPLAY_CALLBACKS
    return group not in _HOW and (group, parts) != ("optimizer", ["fused"])


def command_line(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `resume=DIR` has become the overrides of the run or sweep in that folder.

    Other arguments come after those, so they win: `resume=DIR data.num_workers=2`. What a folder says is done: it may
    name any class to build, so it should be one's own.

    Raises:
        UserError: there is no run or sweep of fkd in the folder, or another place is given, too.
    """
    folders = [argument.removeprefix("resume=") for argument in arguments if argument.startswith("resume=")]
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    if not folders:
        return others
    text = folders[0].strip("'\"")
    folder = Path(text)
    places = [argument for argument in arguments if argument.startswith(_PLACES) and argument != f"resume={folders[0]}"]
    if places:
        raise UserError(f"resume={text}: expected no other folder beside this one, found {places[0]}; leave it out")
    if not text or not folder.is_dir():
        raise UserError(
            f"resume={text}: expected the folder of a run or sweep, found {'no folder' if text else 'nothing'}; give "
            "one below outputs"
        )
    if (folder / "multirun.yaml").is_file():
        hydra, task = sweep_overrides(folder)
        hydra = [override for override in hydra if not override.startswith("hydra.sweep.dir=")]
        return ["--multirun", *hydra, *task, *others, f"hydra.sweep.dir={_quoted(folder)}"]
    run = ["hydra.mode=RUN", f"hydra.run.dir={_quoted(folder)}", "ckpt_path=last"]  # also of a sweep's job
    return [*_run_overrides(folder), *others, *run]


def command(overrides: Sequence[str]) -> dict[str, Any]:
    """Learned key -> value of what was given, by which commands are compared; of a key given twice the last counts."""
    given = {override.partition("=")[0]: override for override in overrides}
    learned = [key for key in given if is_learned(key)]
    return {key: override.value() for key, override in zip(learned, parse([given[k] for k in learned]), strict=True)}


def task_overrides(hydra: DictConfig | HydraConf) -> list[str]:
    """What the command line of this process gave for its task, word for word: Hydra's own config resolves nothing."""
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return overrides


def sweep_overrides(folder: Path) -> tuple[list[str], list[str]]:
    """The overrides of a sweep's command: Hydra's own, and those of its jobs, swept ones included.

    Raises:
        UserError: `multirun.yaml` cannot be read.
    """
    try:
        overrides = yaml.safe_load((folder / "multirun.yaml").read_text())["hydra"]["overrides"]
        hydra, task = overrides["hydra"], overrides["task"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        hydra = task = None
    return _texts(hydra, folder / "multirun.yaml"), _texts(task, folder / "multirun.yaml")


def _run_overrides(folder: Path) -> list[str]:
    path = folder / "result.json"
    if not path.exists():
        raise UserError(
            f"resume={folder}: expected the folder of a run (with result.json) or of a sweep (with multirun.yaml), "
            "found neither; give a folder below outputs"
        )
    try:
        overrides = json.loads(path.read_text())["overrides"]
    except (OSError, ValueError, KeyError, TypeError):
        overrides = None
    return _texts(overrides, path)


def _texts(overrides: object, path: Path) -> list[str]:
    if not isinstance(overrides, list) or not all(isinstance(o, str) and not o.startswith("-") for o in overrides):
        raise UserError(
            f"{path}: expected the overrides of a command, found a broken file; begin anew in another folder"
        )
    return overrides


def _quoted(folder: Path) -> str:
    text = str(folder).replace("'", "\\'")
    return f"'{text}'"
