"""Objects from configs with `_target_`; torch is only imported if the target needs it."""

import inspect
import sys
import sysconfig
import traceback
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_class
from hydra.utils import instantiate as instantiate_by_hydra
from omegaconf import DictConfig

from fkd.config import resolvers  # noqa: F401 (configs call them)
from fkd.errors import UserError


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
        if refused or not isinstance(error, InstantiationException) or _called_wrongly(cause):
            raise UserError(f"{key}: {cause}") from error
        raise cause from error


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
    return isinstance(error, TypeError) and "hydra" in frame.f_code.co_filename
