"""What all scripts share: Hydra's command line, and one clear line with exit status 2 for the user's mistakes."""

import difflib
import functools
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException
from yaml.error import MarkedYAMLError

from fkd import resolvers  # noqa: F401 (configs call them)
from fkd.console import show
from fkd.errors import BAD_OBJECTIVE, Interrupted, Pruned, Stopped, UserError
from fkd.help import help_text
from fkd.processes import is_launched
from fkd.sweep import statuses

CONF = Path(__file__).parents[1] / "conf"
OmegaConf.register_new_resolver("conf", lambda name: str(CONF / name), replace=True)  # a file that lies beside its YAML
_EXPECTED = (UserError, Stopped, MissingMandatoryValue, InterpolationResolutionError)
"""What ends a task with one line."""
_COMMAND_LINE = HydraException | OmegaConfBaseException | MarkedYAMLError | OSError | ValueError
"""What composing the config ends with."""
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/")  # here, since a launcher composes before it begins a job
_PATHS = ("input", "output", "ckpt", "ckpt_path", "runs", "data.root", "detector.file", "detector.model")
"""Keys whose values are names of files: they may hold what means something else to Hydra."""


def command(
    config_name: str, positional: str = "", rewrite: Callable[[list[str]], list[str]] = list
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Makes a task of one config a script: `conf/<config_name>.yaml`, overrides, sweeps, exit status.

    In a sweep one job's mistake is said, its value is a bad one, and the other jobs go on.

    Args:
        config_name: the file in conf.
        positional: the key whose value is a first argument that is a plain word, if there is one.
        rewrite: changes the arguments before Hydra reads them.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        begun = sweep = False

        @functools.wraps(task)
        def guarded(cfg: DictConfig) -> Any:
            nonlocal begun, sweep
            quieten()  # again, where another process has begun this job
            begun, sweep = True, HydraConfig.get().mode == RunMode.MULTIRUN
            try:
                return task(cfg)
            except Pruned as error:
                show(str(error))
            except _EXPECTED as error:
                say(explain(error, config_name))
                statuses.add(1 if isinstance(error, Stopped) else 2)
                if not sweep or (isinstance(error, Interrupted) and not is_launched()):
                    sys.exit(statuses.pop())
            except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns the first into the second
                say(f"interrupted; resume={cfg.run_dir} goes on" if "ckpt_path" in cfg else "interrupted")
                sys.exit(error.code if isinstance(error, SystemExit) else 1)  # submitit's asks for another start
            except Exception:
                statuses.add(1)
                if not sweep:
                    raise
                traceback.print_exc()
            return BAD_OBJECTIVE

        @functools.wraps(task)
        def main() -> None:
            if {"--help", "-h"} & set(sys.argv[1:]):
                print(help_text(CONF, config_name))
                return
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors of the command line come to this place
            quieten()
            statuses.clear()
            sys.argv[1:] = [_quoted(argument) for argument in sys.argv[1:]]
            try:
                sys.argv[1:] = rewrite(sys.argv[1:])
            except UserError as error:
                say(str(error))
                sys.exit(2)
            if positional and sys.argv[1:] and sys.argv[1].isidentifier():
                sys.argv[1] = f"{positional}={sys.argv[1]}"
            first = next((i for i, a in enumerate(sys.argv) if i > 0 and a[0] != "-"), len(sys.argv))
            sys.argv[first:first] = _unnamed(sys.argv[1:])  # beside the others: no override may follow an option
            try:
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(guarded)()
            except KeyboardInterrupt:  # a launcher waited for jobs
                say("interrupted; jobs in a queue go on, and so does the same command with hydra.sweep.dir=DIR")
                sys.exit(1)
            except Exception as error:
                if type(error).__name__ == "TerminatedWorkerError":  # joblib's, which need not be installed
                    say("a job was killed, perhaps for its memory; the command with hydra.sweep.dir=DIR goes on")
                    sys.exit(1)
                if begun or (not isinstance(error, _COMMAND_LINE) and "Unknown plugin class" not in str(error)):
                    raise
                say(explain(error, config_name))
                sys.exit(2)
            if statuses:  # of a sweep's jobs, which have said what went wrong
                sys.exit(min(statuses))

        return main

    return decorate


def say(line: str) -> None:
    """One line on standard error."""
    print(f"error: {' '.join(line.split())}", file=sys.stderr)


def quieten() -> None:
    """Lightning's advice that is of no use here: the run says what matters itself."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*Experiment logs directory.*",
        ".*LeafSpec.*",
        ".*smaller than the logging interval.*",
        ".*does not have many workers.*",
        ".*dirpath has changed.*",
        ".*exists and is not empty.*",
        ".*`srun` command is available.*",
        ".*your dataloader is not resumable.*",  # its sampler is: see KeypointDataModule.state_dict
    ):
        warnings.filterwarnings("ignore", message)


def explain(error: Exception, config_name: str) -> str:
    """An error in words for the user; Hydra's complaints about a command line with the near misses."""
    text = str(error)
    if isinstance(error, UserError | Stopped):
        return text
    if isinstance(error, OSError) and error.filename is not None:  # Hydra's own are without
        return f"{error.filename}: {error.strerror}; give another place for the run, e.g. hydra.run.dir=DIR"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: expected a value, found none; give {error.full_key}=..."
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return (
            f"{mark.name} line {mark.line + 1}: expected YAML, found {error.problem}; mend the file" if mark else text
        )
    if found := re.search(r"Unknown plugin class : 'hydra_plugins\.(\w+)\.", text):
        return f'hydra/launcher: expected {found[1]}, which is not installed; pip install -e ".[sweep]"'
    if found := re.search(r"override '([^'=]+)'\s+missing EQUAL", text):
        return f"{found[1]}: expected arguments like key=value, e.g. input={found[1]}"
    if found := re.search(r"Could not (?:find|load) '([^'/]+)/([^']+)'", text):
        group, name = found.groups()
        files = (path.relative_to(CONF / group) for path in (CONF / group).rglob("*.yaml") if path.stem != "base")
        options = sorted(str(path.with_suffix("")) for path in files)
        return f"{group}={name}: no such option; {_near(name, options)}choose one of {', '.join(options) or 'none'}"
    if found := re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text):
        key, group = found[1], found[1].split(".")[0]
        if (CONF / group).is_dir() and group not in _keys(config_name):
            return f"{key}: {group} has not been chosen; name it, too: {group}=NAME {key}=..."
        return f"{key}: no such key; {_near(key, list(_keys(config_name)))}conf/ lists all keys, +{key}=... adds one"
    return text if error.__cause__ is None else f"{text}: {error.__cause__}"


def _quoted(argument: str) -> str:
    """A path=value that Hydra's grammar would not take for one name, such as input=a,b (1).jpg, its value in quotes."""
    key, equals, value = argument.partition("=")
    if not equals or key not in _PATHS:
        return argument
    try:
        override = OverridesParser.create().parse_override(argument)
        if not override.is_sweep_override():
            return argument
    except HydraException:
        pass
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


def _unnamed(arguments: list[str]) -> list[str]:
    """What keeps from the names of a sweep's job folders the keys that are the same in all jobs."""
    try:
        overrides = OverridesParser.create().parse_overrides([a for a in arguments if "=" in a and a[0] != "-"])
    except HydraException:  # Hydra will say more
        return []
    keys = [o.key_or_group for o in overrides if not (o.is_sweep_override() or o.is_hydra_override())]
    return [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(keys)}]"] if keys else []


def _near(name: str, choices: list[str]) -> str:
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}? " if close else ""


def _keys(config_name: str) -> Iterator[str]:
    """All dotted keys and groups of a composed config."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(config_name)

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for key, value in node.items():
            yield prefix + str(key)
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")

    yield from walk(OmegaConf.to_container(cfg, resolve=False), "")
