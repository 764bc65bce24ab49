"""What was chosen for each run, and in which of it runs differ."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Settings = Mapping[str, Any]
"""Dotted key -> number, text, flag or None."""

_HOW_NOT_WHAT = ("ckpt_path", "resume")
"""Overrides that say how a training went on, not what was trained."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is built in


def chosen(result: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a `result.json`; of a run that wrote down none, what its overrides say."""
    settings = result.get("settings")
    if not isinstance(settings, dict):
        overrides = result.get("overrides")
        pairs = (str(text).partition("=") for text in (overrides if isinstance(overrides, list) else []))
        settings = {key.lstrip("+~"): _value(value) for key, _, value in pairs}
    return {str(key): _plain(value) for key, value in settings.items() if key not in _HOW_NOT_WHAT}


def completed(settings: Sequence[Settings], run_dirs: Sequence[Path]) -> list[Settings]:
    """The same, where what only some runs name is filled in for the others from their configs.

    Otherwise a run with ``data.split=official`` would seem to differ from one that left it at that.
    """
    keys = {key for one in settings for key in one}
    full: list[Settings] = []
    for one, run_dir in zip(settings, run_dirs, strict=True):
        missing = keys - one.keys()
        config = _config(run_dir) if one and missing else {}
        found = {key: value for key in missing if (value := _select(config, key)) is not None}
        full.append({**one, **found})
    return full


def differing(settings: Sequence[Settings]) -> list[str]:
    """Keys in which runs differ, in the order in which runs name them; the seed comes last."""
    keys = list(dict.fromkeys(key for one in settings for key in one))
    known = [one for one in settings if one]
    found = [key for key in keys if len({canonical(one.get(key)) for one in known}) > 1]
    return sorted(found, key=lambda key: key == "seed")


def canonical(value: Any) -> str:
    """Equal for equal values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return json.dumps(value)


def recipe(settings: Settings) -> tuple[tuple[str, str], ...]:
    """All but the seed: runs with the same recipe are repetitions of one experiment."""
    return tuple(sorted((key, canonical(value)) for key, value in settings.items() if key != "seed"))


def data_of(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What decides which faces a run was scored on."""
    same = ("data.batch_size", "data.num_workers", "data.root", "data.cache_dir")
    keys = [key for key in settings if key == "data" or (key.startswith("data.") and key not in same)]
    return tuple(sorted((key, canonical(settings[key])) for key in keys))


def text(value: Any) -> str:
    """A setting in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key -> its last part, or the whole key if another ends alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def _plain(value: Any) -> Any:
    """Lists and the like as text, and so are numbers that JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, int | float | str) else json.dumps(value)


def _value(text: str) -> Any:
    """An override's value as a number if it is one: 1e-3 and 0.001 are the same."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False, "null": None}.get(text, text)


def _config(run_dir: Path) -> Any:
    """The run's config; empty if it cannot be read."""
    try:
        with (run_dir / ".hydra" / "config.yaml").open("rb") as file:
            return yaml.load(file, _LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _select(config: Any, key: str) -> Any:
    """The value of a dotted key, of a group its name; None if there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    if isinstance(config, dict):
        config = config.get("name")
    return config if config is None else _plain(config)
