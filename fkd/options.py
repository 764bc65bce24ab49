"""Values of a config, of the kind that is asked for or with one line that names the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fkd.errors import UserError


def flag(config: Mapping[str, Any], key: str) -> bool:
    """true or false.

    Raises:
        UserError: it is something else.
    """
    value = config[key]
    if not isinstance(value, bool):
        raise UserError(f"{key}: expected true or false, found {value!r}")
    return value


def whole(config: Mapping[str, Any], key: str, least: int) -> int:
    """A whole number from `least` on.

    Raises:
        UserError: it is something else.
    """
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key}: expected a whole number from {least} on, found {value!r}")
    return value


def path(config: Mapping[str, Any], key: str) -> Path:
    """The name of a file or folder; a name of digits alone comes as a number and is taken as it stands.

    Raises:
        UserError: it is something else, or empty.
    """
    value = config[key]
    if isinstance(value, bool | float) or not isinstance(value, str | int) or value == "":
        raise UserError(f"{key}: expected the name of a file or folder, found {value!r}")
    return Path(str(value))
