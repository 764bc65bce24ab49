"""Builds the detector of a plain config, without Hydra."""

import inspect
from collections.abc import Mapping
from typing import Any, get_args

from fkd.detect.base import Detector
from fkd.detect.boxfile import BoxFile
from fkd.detect.centerface import CenterFace
from fkd.detect.centernet import CenterNet
from fkd.detect.haar import Haar
from fkd.detect.whole import WholeImage
from fkd.detect.yunet import YuNet
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter
from fkd.io import trusted
from fkd.io.ranges import OWN_FILE, annotations, check_arguments

_KINDS = (CenterNet, Haar, YuNet, CenterFace, WholeImage, BoxFile)
_DETECTORS = {f"fkd.detect.{kind.__name__}": kind for kind in _KINDS}
_PARTS = {"fkd.geometry.Correction": Correction, "fkd.geometry.Jitter": Jitter}
"""The only classes that a config may name, because it may be from an untrusted file."""


def build(config: Mapping[str, Any]) -> Detector:
    """The detector of a `detector` group of plain values.

    Raises:
        UserError: it names other classes than fkd's detectors and their parts, or wrong arguments.
    """
    detector: Detector = _build(config, "detector", _DETECTORS)
    return detector


def without_files(config: Mapping[str, Any]) -> dict[str, Any]:
    """A net's config of its detector with None for each path, because a net must not choose which files are read."""
    target = _named(config.get("_target_"), _DETECTORS)
    hints = {} if target is None else annotations(target)
    return {name: None if OWN_FILE in get_args(hints.get(str(name))) else value for name, value in config.items()}


def check(config: Mapping[str, Any]) -> None:
    """Checks before a training that `build` will accept the detector of its checkpoint.

    Raises:
        UserError: the config names a class that `build` would refuse.
    """
    parts: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {"detector": (config, _DETECTORS)}
    parts |= {f"detector.{key}": (value, _PARTS) for key, value in config.items() if isinstance(value, Mapping)}
    for key, (part, known) in parts.items():
        if (target := _named(name := part.get("_target_"), known)) is None:
            raise UserError(
                f"{key}: expected one of {', '.join(known)}, found {name}, which a checkpoint may not name; train "
                "with one of these and give yours in prediction"
            )
        plain = {name: value for name, value in part.items() if not isinstance(value, Mapping)}
        _check_arguments(target, plain, key)


def _named(name: Any, known: Mapping[str, Any]) -> Any:
    """The class of this name: one of fkd's, or a detector that a trusted package of the user's defines; else None."""
    if not isinstance(name, str) or name in known or known is not _DETECTORS:
        return known.get(name) if isinstance(name, str) else None
    own = trusted.own_class(name)
    return own if own is not None and callable(getattr(own, "for_hiding", None)) else None


def _build(config: Any, key: str, known: Mapping[str, Any]) -> Any:
    name = config.get("_target_") if isinstance(config, Mapping) else config
    if not isinstance(config, Mapping) or (target := _named(name, known)) is None:
        raise UserError(f"{key}: expected _target_ to be one of {', '.join(known)}, found {str(name)[:80]!r}")
    arguments = {
        str(k): _build(v, f"{key}.{k}", _PARTS) if isinstance(v, Mapping) else _plain(v, f"{key}.{k}")
        for k, v in config.items()
        if k != "_target_"
    }
    try:
        inspect.signature(target).bind(**arguments)
    except TypeError as error:
        raise UserError(
            f"{key}: {error} of {name}; the file is from another version of fkd, so choose a detector by"
            " name, e.g. detector=fkd"
        ) from error
    _check_arguments(target, arguments, key)
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:  # a value of a wrong type
        raise error if isinstance(error, UserError) else UserError(f"{key}: {error}") from error


def _check_arguments(target: Any, arguments: Mapping[str, Any], key: str) -> None:
    try:
        check_arguments(target, arguments, key)
    except ValueError as error:
        raise UserError(str(error)) from None


def _plain(value: Any, key: str) -> Any:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UserError(f"{key}: expected a number or a text, found {str(value)[:80]!r}")
    return value
