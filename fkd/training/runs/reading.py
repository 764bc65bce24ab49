"""Reads the files of a run folder, which may be anybody's: as plain data, of bounded size and depth."""

import json
from pathlib import Path
from typing import Any, BinaryIO

import yaml

_JSON_BYTES, _YAML_BYTES = 4_000_000, 1_000_000
_YAML_EVENTS, _YAML_DEPTH = 50_000, 64
_LARGEST = 1e30
"""Of a number: the square of a larger one may be infinite."""
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # ten times as fast where it is built in


def opened(folder: Path, name: str, most: int) -> BinaryIO:
    """A file of a run folder.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file of up to `most` bytes, or a link leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("expected a file in the run's folder, found a link out of it")
    if path.exists() and not path.is_file():  # a pipe would wait for its other end
        raise ValueError("expected a regular file, found something else")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"expected at most {most:,} bytes, found {size:,}")
    return path.open("rb")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """An object in a JSON file of a run folder.

    Raises:
        OSError, ValueError, RecursionError: see `opened`; or it holds something else.
    """
    with opened(folder, name, _JSON_BYTES) as file:
        content = json.loads(file.read(_JSON_BYTES))
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, found {type(content).__name__}")
    return content


def read_yaml(folder: Path, name: str) -> dict[str, Any]:
    """A mapping in a YAML file of a run folder; empty if there is none that Hydra could write.

    Interpolations stay text. Hydra writes no aliases, by which a small file can become a large object.
    """
    try:
        with opened(folder, name, _YAML_BYTES) as file:
            text, depth = file.read(_YAML_BYTES), 0
        for number, event in enumerate(yaml.parse(text, _LOADER)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or number > _YAML_EVENTS or depth > _YAML_DEPTH:
                return {}
        content = _plain(yaml.load(text, _LOADER))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def number(value: Any) -> float | None:
    """The value if it is a number that can be calculated with, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return None
    return value


def scalar(text: str) -> Any:
    """The value of an override or of a text in YAML, as a number if it is one: 1e-3 and 0.001 are equal."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False, "null": None}.get(text, text)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list) else scalar(node)
