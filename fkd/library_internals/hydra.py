"""Undocumented parts of Hydra: the parser of overrides, and running a task without a command line."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path, get_args_parser
from hydra.core import utils
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

__all__ = ["IntervalSweep", "Override", "RangeSweep", "check_options", "in_quotes", "parse", "run_task"]
__all__ += ["without_hydra_state", "write_configs_with"]


def parse(overrides: Sequence[str], config_loader: ConfigLoader | None = None) -> list[Override]:
    """Parse overrides such as ``model=a,b`` into key and values; Hydra's public functions only compose whole configs.

    Raises:
        HydraException: one of them does not follow Hydra's grammar.
    """
    return OverridesParser.create(config_loader).parse_overrides(list(overrides))


def in_quotes(value: str) -> str:
    """A text as Hydra's grammar takes it, whatever it holds."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def check_options(arguments: Sequence[str]) -> None:
    """Refuse arguments that Hydra's command line would answer with its usage in many lines.

    Raises:
        HydraException: there is no such option, or its value is missing.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise HydraException(message)

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args([each for each in arguments if each != "--version"])  # which it would print


@contextmanager
def without_hydra_state() -> Iterator[None]:
    """A block that begins without Hydra's global state and leaves it as it was, so that runs can follow each other."""
    state, config = GlobalHydra.get_state(), HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.set_state(state)
        HydraConfig.instance().cfg = config


def write_configs_with(write: Callable[[Path, bytes], None]) -> None:
    """Let Hydra write the configs of jobs and sweeps with a function; its own leaves half of a file on a full disk."""
    save = OmegaConf.save

    def save_whole(config: Any, f: Any, resolve: bool = False) -> None:
        if isinstance(f, str | Path):
            write(Path(f), OmegaConf.to_yaml(config, resolve=resolve).encode())
        else:
            save(config, f, resolve)

    OmegaConf.save = staticmethod(save_whole)  # type: ignore[method-assign]
    utils._save_config = lambda cfg, filename, output_dir: save_whole(cfg, output_dir / filename)


def run_task(conf: Path, config_name: str, overrides: Sequence[str], task: Callable[[DictConfig], Any]) -> Path:
    """Run a task as `hydra.main` does, which reads the command line and ends the process; gives the run's folder.

    Args:
        conf: folder of the configs.
        config_name: name of the file in it.
        overrides: as on the command line.
        task: called with the config; what it raises is raised.
    """
    failures: list[BaseException] = []

    def guarded(cfg: DictConfig) -> Any:
        try:
            return task(cfg)
        except Exception as error:  # Hydra would print a line and raise it later
            failures.append(error)
            return None

    version.setbase("1.3")
    with without_hydra_state():
        search_path = create_automatic_config_search_path(None, None, str(conf))
        hydra = Hydra.create_main_hydra2(config_name, search_path)
        job = hydra.run(config_name, guarded, [*overrides], with_log_configuration=False)
    if failures:
        raise failures[0]
    assert job.hydra_cfg is not None
    return Path(job.hydra_cfg.hydra.runtime.output_dir)
