"""Types and ranges of the values in untrusted files, declared beside the class that they build.

The annotation of a constructor's parameter or of a dataclass's field says them, such as
``scale: Annotated[float, Within(0.01, 100)]``. A value of which no annotation says more has the widest range.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np


class Within(NamedTuple):
    """The numbers from `low` to `high`."""

    low: float
    high: float


OWN_FILE = "own file"
"""Marks a path in an annotation: the user may give it, but not a net."""
Size = Annotated[int, Within(1, 4096)]
"""Width and height of a net's crops in pixels."""
Channels = Annotated[int, Within(1, 3)]
"""Of images; whoever builds a net of them refuses 2."""
Keypoints = Annotated[int, Within(1, 10_000)]
Width = Annotated[int, Within(1, 2**16)]
"""Channels of features."""
Scale = Annotated[float, Within(0.01, 100)]
Share = Annotated[float, Within(0, 1)]
Unit = Annotated[float, Within(1e-3, 1e5)]
"""Pixels that become 1 in the output of a net; a smaller one would overflow."""

_WIDEST = {int: Within(-(2**24), 2**24), float: Within(-1e9, 1e9)}
_PLAIN = (NoneType, bool, int, float, str, list)
_LONGEST, _MOST, _DEEPEST = 10_000, 20_000, 32


def check_amount(content: Any, key: str, most: int = _MOST) -> None:
    """Check that data of a file are few, where what is shared by reference counts each time.

    Args:
        content: mappings and sequences of anything.
        key: of the data, for errors.
        most: values and names in it.

    Raises:
        ValueError: there are more, or they are nested too deeply.
    """
    nodes, count = [content], 0
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for node in nodes:
            if isinstance(node, Mapping | list | tuple | set):
                if (count := count + len(node) + 1) > most:
                    raise ValueError(f"{key}: expected at most {most:,} values, found more")
                below += [*node.keys(), *node.values()] if isinstance(node, Mapping) else node
        if not (nodes := below):
            return
    raise ValueError(f"{key}: expected at most {_DEEPEST} levels, found data that are nested more deeply")


def check_arguments(target: Callable[..., Any], arguments: Mapping[str, Any], key: str) -> None:
    """Check the arguments that a target is to be called with.

    Args:
        target: a class or function; types are checked if it is fkd's own.
        arguments: values by name.
        key: of the arguments, for errors.

    Raises:
        ValueError: naming the key, what was expected and what was found.
    """
    hints = annotations(target)
    for name, value in arguments.items():
        check(value, hints.get(name, Any), f"{key}.{name}")


@cache
def annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters of one of fkd's own classes or functions; none of others'."""
    if target.__module__.split(".")[0] != "fkd":
        return {}
    return get_type_hints(target.__init__ if isinstance(target, type) else target, include_extras=True)  # type: ignore[misc]


def check(value: Any, expected: Any, key: str) -> None:
    """Check a value, or each of a list, against an annotation. A mapping may become an object of any other kind.

    Raises:
        ValueError: naming the key, what was expected and what was found.
    """
    kinds = _kinds(expected)
    if isinstance(value, np.generic):
        value = value.item()
    kind: Any = list if isinstance(value, tuple) else type(value)
    if not (Any in kinds or kind in kinds or (kind is int and float in kinds) or _is_instance(value, kinds)):
        names = " or ".join(sorted(_NAMES.get(each, each.__name__) for each in kinds))
        found = _short(value) if kind in _PLAIN else kind.__name__
        raise ValueError(f"{key}: expected {names}, found {found}")
    if kind is list:
        for number, each in enumerate(value):
            check(each, expected, f"{key}[{number}]")
    elif kind is str and len(value) > _LONGEST:
        raise ValueError(f"{key}: expected at most {_LONGEST:,} characters, found {len(value):,}")
    elif kind in (int, float):
        low, high = next((note for note in get_args(expected) if isinstance(note, Within)), _WIDEST[kind])
        if not low <= value <= high:
            raise ValueError(f"{key}: expected a number from {low:g} to {high:g}, found {_short(value)}")


def _is_instance(value: Any, kinds: set[Any]) -> bool:
    others = kinds.difference(_PLAIN)
    return any(isinstance(value, each) for each in others) or bool(others and isinstance(value, Mapping))


_NAMES = {
    NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
}


@cache
def _kinds(expected: Any) -> set[Any]:
    """The types in an annotation; a sequence's also stand for it, so that one range is that of all its numbers."""
    if get_origin(expected) is Annotated:
        return _kinds(get_args(expected)[0])
    if get_origin(expected) is Sequence:
        return {list, *_kinds(get_args(expected)[0])}
    parts = get_args(expected)
    return set().union(*map(_kinds, parts)) if parts else {expected}


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**50 else "a longer number"
    return text if len(text) <= 60 else f"{text[:57]}..."
