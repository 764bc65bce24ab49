"""Checked values of a config; errors name the key."""

import os
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fkd.errors import UserError


def flag(config: DictConfig, key: str) -> bool:
    """A value that is true or false.

    Raises:
        UserError: the value is something else.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(value, bool):
        raise UserError(f"{key}: expected true or false, found {value!r}")
    return value


def whole(config: DictConfig, key: str, least: int) -> int:
    """A whole number from `least` on.

    Raises:
        UserError: the value is something else.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key}: expected a whole number from {least} on, found {value!r}")
    return value


def number(config: DictConfig, key: str, least: float) -> float:
    """A finite number from `least` on.

    Raises:
        UserError: the value is something else.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < float("inf"):
        raise UserError(f"{key}: expected a number from {least:g} on, found {value!r}")
    return float(value)


def check_files(config: DictConfig, keys: Sequence[str]) -> None:
    """Check that the files of some keys exist; a key may be missing or null.

    Raises:
        UserError: one does not; names the first.
    """
    for key in keys:
        if OmegaConf.select(config, key) is not None and not path(config, key).exists():
            raise UserError(f"{key}={path(config, key)}: expected a file, found no such file; give another path")


def path(config: DictConfig, key: str) -> Path:
    """The path of a file or folder, where ~ is the home folder; Hydra gives a name of digits as a number.

    Raises:
        UserError: it is something else, or empty.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if isinstance(value, bool | float) or not isinstance(value, str | int) or value == "":
        raise UserError(f"{key}: expected the name of a file or folder, found {value!r}")
    return Path(os.path.expanduser(str(value)))
