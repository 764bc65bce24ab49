"""The settings that were chosen for each run, and which of them differ between runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fkd.errors import printable
from fkd.training.runs.command_line import is_learned
from fkd.training.runs.reading import number, scalar

Settings = Mapping[str, Any]
"""Dotted key -> number, text, flag or None."""

_NOT_SETTINGS = ("ckpt_path", "resume")
"""Overrides that resume a training and do not change it."""
_MOST, _LONGEST = 300, 500
"""Values in each part of a run's file; characters of a text."""


def chosen(result: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a `result.json`; of older versions without settings, its overrides.

    Raises:
        ValueError: there are too many.
    """
    settings = result.get("settings")
    if not isinstance(settings, dict):
        overrides = result.get("overrides")
        pairs = (str(text).partition("=") for text in (overrides if isinstance(overrides, list) else []))
        settings = {key.lstrip("+~"): scalar(value) for key, _, value in pairs}
    return {key: _plain(value) for key, value in bounded(settings).items() if key not in _NOT_SETTINGS}


def bounded(content: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a run's file with names, texts and numbers that tables and pages can show.

    Raises:
        ValueError: it is too long.
    """
    if len(content) > _MOST:
        raise ValueError(f"expected at most {_MOST} values, found {len(content):,}")
    return {shown(key): _plain(v) if isinstance(v, str | int | float) else v for key, v in content.items()}


def shown(value: Any) -> str:
    """A text of a run's file for tables and pages: printable, and of bounded length."""
    text = printable(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def shared(settings: Sequence[Settings]) -> Settings:
    """The settings without the seed that are equal in all runs."""
    same = set.intersection(*(set(without_seed(one)) for one in settings))
    return {key: value for key, value in settings[0].items() if (key, canonical(value)) in same}


def differing(settings: Sequence[Settings]) -> list[str]:
    """Keys with several values among the runs that have them, in the order in which runs name them, the seed last."""
    values: dict[str, set[str]] = {}
    for one in settings:
        for key, value in one.items():
            values.setdefault(key, set()).add(canonical(value))
    return sorted((key for key, found in values.items() if len(found) > 1), key=lambda key: key == "seed")


def canonical(value: Any) -> str:
    """A text that is the same for equal values: 1 and 1.0 are equal, 1 and true are not."""
    return repr(float(value)) if _is_number(value) else json.dumps(value)


def without_seed(settings: Settings) -> tuple[tuple[str, str], ...]:
    """All other settings; they are the same for repetitions of one experiment."""
    return tuple(sorted((key, canonical(value)) for key, value in settings.items() if key != "seed"))


def data_of(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The settings that decide on which faces a run was scored, for runs without hashes of their faces."""
    keys = [key for key in settings if key.split(".")[0] == "data" and is_learned(key) and key != "data.batch_size"]
    return without_seed({key: settings[key] for key in keys})


def text(value: Any) -> str:
    """A setting in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:g}"
    return str(value)


def sort_value(value: Any) -> Any:
    """The value by which a table is sorted: numbers as numbers, others as text."""
    return value if _is_number(value) else text(value)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key -> its last part, or the whole key if another key has the same last part."""
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def selected(config: Any, key: str) -> list[Any]:
    """A list with the value of a dotted key, for a config group its name; empty if it is unknown.

    A key that an existing part of the config lacks counts as None.
    """
    *parents, last = key.split(".")
    for part in parents:
        config = config.get(part) if isinstance(config, dict) else None
    if not isinstance(config, dict) or not (parents or last in config):
        return []
    value = config.get(last)
    if isinstance(value, dict):
        return [_plain(value["name"])] if "name" in value else []
    return [_plain(value)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Lists, mappings and numbers that JSON lacks (NaN, infinity) or too large as text, other values unchanged."""
    if value is None or isinstance(value, bool) or number(value) is not None:
        return value
    return shown(value if isinstance(value, str | int | float) else json.dumps(value))
