"""What was chosen for each run, and in which of it runs differ."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fkd.training.runs.command_line import is_learned

Settings = Mapping[str, Any]
"""Dotted key -> number, text, flag or None."""

_HOW_NOT_WHAT = ("ckpt_path", "resume")
"""Overrides that say how a training went on, not what was trained."""
_DIGITS = 6
"""Of a recipe, where it is shown."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is built in


def chosen(result: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a `result.json`; of a run that wrote down none, what its overrides say."""
    settings = result.get("settings")
    if not isinstance(settings, dict):
        overrides = result.get("overrides")
        pairs = (str(text).partition("=") for text in (overrides if isinstance(overrides, list) else []))
        settings = {key.lstrip("+~"): _value(value) for key, _, value in pairs}
    return {str(key): _plain(value) for key, value in settings.items() if key not in _HOW_NOT_WHAT}


def completed(settings: Sequence[Settings], run_dirs: Sequence[Path], recipes: Sequence[str]) -> list[Settings]:
    """The same, where what only some runs name is filled in for the others from their configs.

    Otherwise a run with ``data.split=official`` would seem to differ from one that left it at that. What a config
    does not tell, either, is null where a run has a recipe, since such a run names every group that was chosen for it,
    and stays unknown for others.
    """
    keys = dict.fromkeys(key for one in settings for key in one)
    full: list[Settings] = []
    for one, run_dir, recipe in zip(settings, run_dirs, recipes, strict=True):
        missing = [key for key in keys if key not in one]
        config = read_yaml(run_dir / ".hydra" / "config.yaml") if one and missing else {}
        left = dict.fromkeys(missing) if recipe else {}
        full.append({**one, **left, **{key: value for key in missing for value in _select(config, key)}})
    return full


def told_apart(settings: Sequence[Settings], recipes: Sequence[str]) -> list[Settings]:
    """The same, with the first digits of the recipe ("" if it is not known) where else several would look alike.

    A chosen group may change what is not among the settings, and so may an edited file.
    """
    keys = [key for key in differing(settings) if key != "seed"]
    shown = [tuple(canonical(one.get(key)) for key in keys) for one in settings]
    alike: dict[Any, set[str]] = defaultdict(set)
    for one, look, recipe in zip(settings, shown, recipes, strict=True):
        if one:
            alike[look].add(recipe)
    return [
        {**one, "recipe": recipe[:_DIGITS] or None} if len(alike[look]) > 1 else one
        for one, look, recipe in zip(settings, shown, recipes, strict=True)
    ]


def shared(settings: Sequence[Settings]) -> Settings:
    """Those in which all are alike, but the seed."""
    same = set.intersection(*(set(but_seed(one)) for one in settings))
    return {key: value for key, value in settings[0].items() if (key, canonical(value)) in same}


def differing(settings: Sequence[Settings]) -> list[str]:
    """Keys in which those runs differ that have them, in the order in which runs name them; the seed comes last."""
    values: dict[str, set[str]] = {}
    for one in settings:
        for key, value in one.items():
            values.setdefault(key, set()).add(canonical(value))
    return sorted((key for key, found in values.items() if len(found) > 1), key=lambda key: key == "seed")


def canonical(value: Any) -> str:
    """Equal for equal values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return json.dumps(value)


def but_seed(settings: Settings) -> tuple[tuple[str, str], ...]:
    """All other settings, alike for repetitions of one experiment."""
    return tuple(sorted((key, canonical(value)) for key, value in settings.items() if key != "seed"))


def data_of(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What decides which faces a run was scored on, where it left no fingerprints of them."""
    keys = [key for key in settings if key.split(".")[0] == "data" and is_learned(key) and key != "data.batch_size"]
    return tuple(sorted((key, canonical(settings[key])) for key in keys))


def text(value: Any) -> str:
    """A setting in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:g}"
    return str(value)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key -> its last part, or the whole key if another ends alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def read_yaml(path: Path) -> Any:
    """The content of a config; {} if it cannot be read."""
    try:
        with path.open("rb") as file:
            return yaml.load(file, _LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return {}


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


def _select(config: Any, key: str) -> list[Any]:
    """The value of a dotted key, of a group its name, in a list; [] if it is not known.

    What a part of a config does not have, as long as nobody adds it, counts as null.
    """
    *parents, last = key.split(".")
    for part in parents:
        config = config.get(part) if isinstance(config, dict) else None
    if not isinstance(config, dict) or not (parents or last in config):
        return []
    value = config.get(last)
    if isinstance(value, dict):
        return [value["name"]] if "name" in value else []
    return [_plain(value)]
