"""Objects from configs with `_target_`; torch is only imported if the target needs it."""

import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_class, get_object
from hydra.utils import instantiate as instantiate_by_hydra
from omegaconf import DictConfig

from fkd.config import resolvers  # noqa: F401 (configs call them)
from fkd.errors import UserError, did_you_mean


def instantiate(config: Any, key: str, **arguments: Any) -> Any:
    """Hydra's `instantiate`, which turns mistakes of the config into UserError and raises other exceptions unchanged.

    Args:
        config: with a `_target_`; values may be such configs, too.
        key: the config's key, for errors.
        arguments: further arguments.

    Raises:
        UserError: no such target, unknown arguments, or values that the target refuses.
    """
    if not isinstance(config, Mapping | DictConfig) or "_target_" not in config:
        raise UserError(f"{key}: expected a config with a _target_, found {config!r}")
    try:
        return instantiate_by_hydra(config, _convert_="all", **arguments)
    except HydraException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, ModuleNotFoundError) and (extra := key.rpartition(".")[2]) in _extras():
            raise UserError(f"{key}: needs what is not installed yet; pip install 'fkd[{extra}]'") from error
        refused = isinstance(cause, (TypeError, ValueError, ImportError, HydraException, *_refusals_of_lightning()))
        refused &= not _is_of_own_code(cause)
        if isinstance(cause, TypeError) and _called_wrongly(cause):
            raise UserError(_wrong_arguments(cause, *_target_of(error, config, key))) from error
        if refused or not isinstance(error, InstantiationException):
            raise UserError(f"{key}: {cause}") from error
        raise cause from error


def check_call(function: Callable[[], Any], config: Any, key: str) -> None:
    """Check that a function made of a config with `_partial_` has all its arguments.

    Raises:
        UserError: one is missing or unknown.
    """
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise UserError(_wrong_arguments(error.__cause__ or error, key, str(config["_target_"]))) from error


def check_arguments(model: Mapping[str, Any]) -> None:
    """Check that a model's network has all arguments of its config; an experiment for another model may set others.

    Args:
        model: the plain `model` group.

    Raises:
        UserError: one is unknown.
    """
    try:
        parameters = inspect.signature(get_class(str(model["net"].get("_target_")))).parameters
    except Exception:  # no class: `instantiate` has a better message
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in model["net"]:
        if not key.startswith("_") and key not in parameters:
            raise UserError(
                f"model.net.{key}: model={model['name']} takes no such argument, only {', '.join(parameters)}; "
                "leave it out, or the experiment=... that sets it"
            )


def _refusals_of_lightning() -> tuple[type[Exception], ...]:
    """Lightning's exception for values that it refuses; none if Lightning is not imported."""
    exceptions = sys.modules.get("pytorch_lightning.utilities.exceptions")
    return () if exceptions is None else (exceptions.MisconfigurationException,)


def _extras() -> list[str]:
    """Optional extras of fkd's package; a logger's extra has the logger's name."""
    try:
        return metadata("fkd").get_all("Provides-Extra", [])
    except PackageNotFoundError:
        return []


def _is_of_own_code(error: BaseException) -> bool:
    """Whether the traceback has code of neither fkd nor an installed package, so that it helps the user."""
    libraries = (
        str(Path(__file__).parents[1]),
        *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")),
    )
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not all(file.startswith((*libraries, "<")) for file in files)


def _called_wrongly(error: BaseException) -> bool:
    """Whether the call itself failed, e.g. by an unknown argument, and not the code of the target."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return "hydra" in frame.f_code.co_filename


def _target_of(error: Exception, config: Any, key: str) -> tuple[str, str]:
    """Key and target of the config, or of one below it, that Hydra could not instantiate."""
    target = re.match(r"Error in call to target '([^']+)'", str(error))
    found = re.search(r"^full_key: (\S+)", str(error), re.MULTILINE)  # of a plain dict it begins below `key`
    below = "" if found is None else found[1]
    place = below if f"{below}.".startswith(f"{key}.") else f"{key}.{below}".removesuffix(".")
    return place, str(config["_target_"]) if target is None else target[1]


def _wrong_arguments(error: BaseException, key: str, target: str) -> str:
    """What is wrong with the arguments of a call, whose exception is Python's or that of `inspect`."""
    if found := re.search(r"missing (?:\d+|a) required .*?arguments?: (.+)", str(error)):
        names = found[1].replace("'", "")
        return f"{key}: expected {names}, which {target} needs, found none; add it to its YAML file"
    if found := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        known = [name for name in inspect.signature(get_object(target)).parameters if name != "self"]
        hint = did_you_mean(found[1], known) or f"it takes {', '.join(known) or 'none'}"
        return f"{key}.{found[1]}: {target} takes no such argument; {hint}"
    return f"{key}: {error}"
