"""Builds the detector of the plain config in a checkpoint, without Hydra."""

import inspect
from collections.abc import Mapping
from typing import Any

from fkd.detect.base import Detector
from fkd.detect.boxfile import BoxFile
from fkd.detect.haar import Haar
from fkd.detect.whole import WholeImage
from fkd.detect.yunet import YuNet
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter
from fkd.io import trusted

_DETECTORS = {f"fkd.detect.{kind.__name__}": kind for kind in (Haar, YuNet, WholeImage, BoxFile)}
_PARTS = {"fkd.geometry.Correction": Correction, "fkd.geometry.Jitter": Jitter}
"""The only classes that a config may name, because it may be from an untrusted file."""


def build(config: Mapping[str, Any]) -> Detector:
    """The detector of a `detector` group of plain values.

    Raises:
        UserError: it names other classes than fkd's detectors and their parts, or wrong arguments.
    """
    detector: Detector = _build(config, "detector", _DETECTORS)
    return detector


def check(config: Mapping[str, Any]) -> None:
    """Checks before a training that `build` will accept the detector of its checkpoint.

    Raises:
        UserError: the config names a class that `build` would refuse.
    """
    named: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {"detector": (config, _DETECTORS)}
    named |= {f"detector.{key}": (value, _PARTS) for key, value in config.items() if isinstance(value, Mapping)}
    for key, (part, known) in named.items():
        name = part.get("_target_")
        if name not in known and not (known is _DETECTORS and _own_detector(name)):
            raise UserError(
                f"{key}: expected one of {', '.join(known)}, found {name}, which a checkpoint may not name; train "
                "with one of these and give yours in prediction"
            )


def _own_detector(name: Any) -> Any:
    """The detector's class, if a trusted package of the user's defines it; else None."""
    own = trusted.own_class(str(name))
    return own if own is not None and callable(getattr(own, "for_hiding", None)) else None


def _build(config: Any, key: str, known: Mapping[str, Any]) -> Any:
    name = config.get("_target_") if isinstance(config, Mapping) else config
    target = known.get(name) if isinstance(config, Mapping) and isinstance(name, str) else None
    if target is None and isinstance(config, Mapping) and known is _DETECTORS:
        target = _own_detector(name)
    if target is None:
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
            " name, e.g. detector=haar"
        ) from error
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:  # a value of a wrong type
        raise error if isinstance(error, UserError) else UserError(f"{key}: {error}") from error


def _plain(value: Any, key: str) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        raise UserError(f"{key}: expected a number or a text, found {str(value)[:80]!r}")
    return value
