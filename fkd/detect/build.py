"""From the plain config that a net's file carries to its detector, without Hydra."""

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

_DETECTORS = {f"fkd.detect.{kind.__name__}": kind for kind in (Haar, YuNet, WholeImage, BoxFile)}
_PARTS = {"fkd.geometry.Correction": Correction, "fkd.geometry.Jitter": Jitter}
"""All that a config may name: the file may be untrusted."""


def build(config: Mapping[str, Any]) -> Detector:
    """The detector of a `detector` group: dicts, numbers and texts, `_target_` naming a class.

    Raises:
        UserError: it names anything but fkd's own detectors and their parts, or arguments that do not fit.
    """
    detector: Detector = _build(config, "detector", _DETECTORS)
    return detector


def check(config: Mapping[str, Any]) -> None:
    """Makes sure that a net's file with this detector could be used, before it is trained.

    Raises:
        UserError: the config names a class that `build` would refuse.
    """
    named: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [("detector", config, _DETECTORS)]
    named += [(f"detector.{key}", value, _PARTS) for key, value in config.items() if isinstance(value, Mapping)]
    for key, part, trusted in named:
        if (name := part.get("_target_")) not in trusted:
            raise UserError(
                f"{key}: expected one of {', '.join(trusted)}, found {name}, which no file of a net may name; train "
                "with one of these and give yours where the net is used"
            )


def _build(config: Any, key: str, trusted: Mapping[str, Any]) -> Any:
    name = config.get("_target_") if isinstance(config, Mapping) else config
    if not isinstance(config, Mapping) or not isinstance(name, str) or name not in trusted:
        raise UserError(f"{key}: expected _target_ to be one of {', '.join(trusted)}, found {str(name)[:80]!r}")
    target = trusted[name]
    arguments = {
        str(k): _build(v, f"{key}.{k}", _PARTS) if isinstance(v, Mapping) else _plain(v, f"{key}.{k}")
        for k, v in config.items()
        if k != "_target_"
    }
    try:
        inspect.signature(target).bind(**arguments)
    except TypeError as error:
        raise UserError(
            f"{key}: {error} of {name}; the file is of another version of fkd, so choose a detector by"
            " name, e.g. detector=haar"
        ) from error
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:  # of values of another kind
        raise error if isinstance(error, UserError) else UserError(f"{key}: {error}") from error


def _plain(value: Any, key: str) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        raise UserError(f"{key}: expected a number or a text, found {str(value)[:80]!r}")
    return value
