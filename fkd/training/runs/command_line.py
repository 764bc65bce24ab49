"""`resume=DIR`: the command line of an interrupted run or sweep, read from its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from fkd.errors import UserError
from fkd.library_internals.hydra import parse
from fkd.training.runs.reading import read_json, read_yaml

_PLACES = ("resume=", "hydra.run.dir=", "hydra.sweep.dir=", "ckpt_path=")
_NOT_LEARNED = {"tags", "task_name", "run_dir", "logger", "sweep"}
_NOT_LEARNED_OF_DATA = {"root", "cache_dir", "num_workers", "download"}  # at any depth: a set may be part of a mix
_DISPLAY_CALLBACKS = {"overlays", "progress", "throughput"}


def is_learned(key: str) -> bool:
    """Whether a config key changes what a net learns, and not only where a run computes, loads, writes and logs."""
    group, *parts = key.lstrip("+~").split(".")
    if group in ("data", "extra_train"):
        return not _NOT_LEARNED_OF_DATA.intersection(parts)
    if group == "callbacks" and parts:
        return parts[0] not in _DISPLAY_CALLBACKS
    return group not in _NOT_LEARNED and (group, parts) != ("optimizer", ["fused"])


def command_line(arguments: Sequence[str]) -> list[str]:
    """Replace the argument `resume=DIR` by the overrides of the run or sweep in that folder.

    Other arguments follow these overrides and win: `resume=DIR data.num_workers=2`. The overrides may name any class to
    build, so the folder must be trusted.

    Raises:
        UserError: the folder holds no run or sweep of fkd, or the arguments name another folder, too.
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
    quoted = "'{}'".format(str(folder).replace("'", "\\'"))
    if (folder / "multirun.yaml").is_file():
        hydra, task = sweep_overrides(folder)
        hydra = [override for override in hydra if not override.startswith("hydra.sweep.dir=")]
        return ["--multirun", *hydra, *task, *others, f"hydra.sweep.dir={quoted}"]
    run = ["hydra.mode=RUN", f"hydra.run.dir={quoted}", "ckpt_path=last"]  # also for a job of a sweep
    return [*_run_overrides(folder), *others, *run]


def command(overrides: Sequence[str]) -> dict[str, Any]:
    """Learned key -> value, for comparing commands; if a key is given twice, the last value counts."""
    given = {override.partition("=")[0]: override for override in overrides}
    learned = [key for key in given if is_learned(key)]
    return {key: override.value() for key, override in zip(learned, parse([given[k] for k in learned]), strict=True)}


def task_overrides(hydra: DictConfig | HydraConf) -> list[str]:
    """The overrides of this process's command line, without those of Hydra itself; interpolations are not resolved."""
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return overrides


def sweep_overrides(folder: Path) -> tuple[list[str], list[str]]:
    """The overrides of a sweep's command: Hydra's own, and those of its jobs, swept ones included.

    Raises:
        UserError: `multirun.yaml` cannot be read.
    """
    path = folder / "multirun.yaml"
    try:
        overrides: Mapping[str, Any] = read_yaml(folder, path.name)["hydra"]["overrides"]
        return _checked(overrides["hydra"]), _checked(overrides["task"])
    except (KeyError, TypeError):
        raise _broken(path) from None


def _run_overrides(folder: Path) -> list[str]:
    path = folder / "result.json"
    if not path.exists():
        raise UserError(
            f"resume={folder}: expected the folder of a run (with result.json) or of a sweep (with multirun.yaml), "
            "found neither; give a folder below outputs"
        )
    try:
        return _checked(read_json(folder, path.name)["overrides"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise _broken(path) from None


def _checked(overrides: list[str]) -> list[str]:
    if not isinstance(overrides, list) or not all(isinstance(o, str) and not o.startswith("-") for o in overrides):
        raise TypeError
    return overrides


def _broken(path: Path) -> UserError:
    return UserError(f"{path}: expected the overrides of a command, found a broken file; start again in another folder")
