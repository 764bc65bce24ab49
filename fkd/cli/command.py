"""What all scripts share: Hydra's command line, and one clear line with exit status 2 for the user's mistakes."""

import difflib
import functools
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException
from yaml.error import MarkedYAMLError

from fkd import distributed
from fkd.cli.help import help_text
from fkd.cli.sweep_folders import kept, put_back, statuses
from fkd.config import CONF, resolvers  # noqa: F401 (configs call the resolvers)
from fkd.errors import BAD_OBJECTIVE, FacesVisibleError, Interrupted, Pruned, Stopped, UserError
from fkd.library_internals.hydra import parse
from fkd.terminal import say, show

OmegaConf.register_new_resolver("conf", lambda name: str(CONF / name), replace=True)  # a file that lies beside its YAML
_EXPECTED = (UserError, Stopped, FacesVisibleError, MissingMandatoryValue, InterpolationResolutionError)
"""What ends a task with one line."""
_COMMAND_LINE = HydraException | OmegaConfBaseException | MarkedYAMLError | OSError | ValueError
"""What composing the config ends with."""
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/")  # here, since a launcher composes before it begins a job
_PATHS = (
    *("input", "output", "into", "ckpt", "ckpt_path", "weights", "runs"),
    *("data.root", "data.exclude", "data.download.url", "data.download.sums"),
    *("detector.file", "detector.model", "distill.teacher"),
)
"""Keys whose values are names of files: they may hold what means something else to Hydra."""
_PRESETS = ("sweep", "debug", "hydra/launcher", "hydra/sweeper")
"""Groups that say how a whole command runs."""
_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--info", "-i", "--experimental-rerun"),
)
"""Hydra's options that are followed by a value."""


def command(
    config_name: str, positional: str = "", rewrite: Callable[[list[str]], list[str]] = list
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Makes a task of one config a script: `conf/<config_name>.yaml`, overrides, sweeps, exit status.

    In a sweep one job's mistake is said, its value is a bad one, and the other jobs go on.

    Args:
        config_name: the file in conf.
        positional: the key of which the first argument that is no key=value gives the value.
        rewrite: changes the arguments before Hydra reads them.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        begun, goes_on = False, ""  # whether a job has begun in this process; what to give after an interruption

        @functools.wraps(task)
        def guarded(cfg: DictConfig) -> Any:
            nonlocal begun, goes_on
            quieten()  # again, where another process has begun this job
            hydra_config = HydraConfig.get()
            begun, sweep = True, hydra_config.mode == RunMode.MULTIRUN
            if "ckpt_path" in cfg:
                goes_on = f"resume={hydra_config.sweep.dir if sweep else cfg.run_dir} goes on"
            if distributed.is_worker():
                distributed.end_with_parent()
            try:
                return task(cfg)
            except Pruned as error:
                show(str(error))
            except (Interrupted, KeyboardInterrupt, SystemExit) as error:  # Lightning turns the second into the third
                if distributed.is_worker():  # who began it says what is to be said
                    distributed.leave()
                said = str(error) if isinstance(error, Interrupted) else "interrupted"
                if distributed.is_first():
                    say(said if goes_on in said else f"{said}; {goes_on}{' with the sweep' if sweep else ''}")
                statuses.add(1)
                if not (isinstance(error, Interrupted) and distributed.is_submitted()):
                    sys.exit(error.code if isinstance(error, SystemExit) else 1)  # submitit's asks for another start
            except _EXPECTED as error:
                say(explain(error, config_name))
                statuses.add(getattr(error, "status", UserError.status))
                if not sweep:
                    if not isinstance(error, Stopped):
                        put_back()
                    sys.exit(statuses.pop())
            except Exception:
                statuses.add(1)
                if not sweep:
                    raise
                traceback.print_exc()
            return BAD_OBJECTIVE

        @functools.wraps(task)
        def main() -> None:
            if {"--help", "-h"} & set(sys.argv[1:]):
                try:
                    print(help_text(CONF, config_name), flush=True)
                except BrokenPipeError:  # who reads has seen enough, as `| head`; the rest goes nowhere
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors of the command line come to this place
            quieten()
            statuses.clear()
            kept.clear()
            try:
                named = [_quoted(argument) for argument in _named(sys.argv[1:], positional)]
                sys.argv[1:] = _arranged(rewrite(named))
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(guarded)()
            except KeyboardInterrupt as error:  # between jobs, or a launcher waited for them
                say("; ".join(filter(None, ("interrupted", str(error) or goes_on))))
                sys.exit(1)
            except Stopped as error:  # a launcher's
                say(str(error))
                sys.exit(1)
            except Exception as error:
                if not isinstance(error, UserError) and (begun or not isinstance(error, _COMMAND_LINE)):
                    raise
                say(explain(error, config_name))
                sys.exit(2)
            if statuses:  # of a sweep's jobs, which have said what went wrong
                sys.exit(min(statuses))

        return main

    return decorate


def quieten() -> None:
    """Advice of Lightning and Pillow that is of no use here: the run says what matters itself."""
    for name in ("trainer", "utilities", "accelerators"):  # of the package itself its import sets the level anew
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric.utilities").setLevel(logging.WARNING)
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
    # Pillow warns of odd metadata around good pixels, naming no file; of bad pixels it raises.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def explain(error: Exception, config_name: str) -> str:
    """An error in words for the user; Hydra's complaints about a command line with the near misses."""
    text = str(error)
    if isinstance(error, UserError | Stopped | FacesVisibleError):
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
    if found := re.match(r"ValueError raised while resolving interpolation: (schema.*)", text):
        return f"{found[1]}; mend its file in conf/schema"
    if "Interpolation key 'model.lr' not found" in text:
        return "model.lr: expected a learning rate in the model's YAML, found none; add lr: 1e-3 or give optimizer.lr"
    if "interval(" in text or "INTERVAL_SWEEP" in text:
        given = next((argument for argument in sys.argv if "interval(" in argument), "interval(...)")
        return f"{given}: expected values, found a range, from which only Optuna draws; add sweep=tpe"
    if found := re.search(r"(?:Sweep parameters|Ambiguous value for argument) '(.+?)'(?: requires|\s+1\.)", text):
        todo = "resume=DIR goes on with one run" if "hydra.mode=RUN" in sys.argv else "add -m to run each of them"
        return f"{found[1]}: expected one value, found several; {todo}"
    if found := re.match(
        r"(?:Error parsing override '(.+?)'\s)?(?:mismatched input|no viable alternative|token rec)", text
    ):
        what = found[1] or next((given for given in sys.argv[1:] if _is_broken(given)), "the command line")
        return f"{what}: expected a value in Hydra's words, found what cannot be read; quote special characters"
    if found := re.search(r"override '([^'=]+)'\s+missing EQUAL", text):
        keys = list(_keys(config_name))
        if found[1] in keys:
            return f"{found[1]}: expected {found[1]}=VALUE, found no value"
        example = f"input={found[1]}" if "input" in keys else "model=compact" if "model" in keys else "output=DIR"
        return f"{found[1]}: expected arguments like key=value, e.g. {example}"
    if found := re.search(r"Could not (?:find|load) '((?:hydra/)?[^'/]+)/([^']*)'", text):
        group, name = found.groups()
        files = (path.relative_to(CONF / group) for path in (CONF / group).rglob("*.yaml") if path.stem != "base")
        options = sorted(str(path.with_suffix("")) for path in files)
        return f"{group}={name}: no such option; {_near(name, options)}choose one of {', '.join(options) or 'none'}"
    if found := re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text):
        key, group, keys = found[1], found[1].split(".")[0], list(_keys(config_name))
        if (CONF / group).is_dir() and group not in keys:
            return f"{key}: {group} has not been chosen; name it, too: {group}=NAME {key}=..."
        if key.startswith("hydra.launcher.") and not any(given.startswith("hydra/launcher=") for given in sys.argv):
            return f"{key}: no launcher has been chosen; name it, too: hydra/launcher=NAME {key}=..."
        keys += ["resume"] if "ckpt_path" in keys else []
        return f"{key}: no such key; {_near(key, keys)}conf/ lists all keys, +{key}=... adds one"
    return text if error.__cause__ is None else f"{text}: {error.__cause__}"


def _is_broken(argument: str) -> bool:
    try:
        parse([argument])
    except HydraException:
        return not argument.startswith("-")
    return False


def _named(arguments: Sequence[str], key: str) -> list[str]:
    """Arguments whose first word, if it is no key=value, has become the value of a key.

    Raises:
        UserError: one begins a comment.
    """
    if comment := next((argument for argument in arguments if argument.startswith("#")), ""):
        raise UserError(
            f"{comment}: expected key=value, found a comment, which this shell hands on (zsh: setopt "
            "interactivecomments); leave it out"
        )
    if key and not any(argument.startswith(f"{key}=") for argument in arguments):
        for i, (before, word) in enumerate(pairwise(["", *arguments])):
            if "=" not in word and not word.startswith(("-", "~")) and before not in _WITH_VALUE:
                return [*arguments[:i], f"{key}={word}", *arguments[i + 1 :]]
    return list(arguments)


def _arranged(arguments: Sequence[str]) -> list[str]:
    """Overrides and then options, since Hydra takes no option in between; with what names the folders of a sweep.

    Raises:
        UserError: a preset is swept over, which stands for a whole command.
    """
    overrides, options, rest = [], [], iter(arguments)
    for argument in rest:
        if argument.startswith("-"):
            options += [argument, *(islice(rest, 1) if argument in _WITH_VALUE else ())]
        else:
            overrides.append(argument)
    if "hydra.mode=RUN" in overrides:  # one run is resumed
        options = [option for option in options if option not in ("-m", "--multirun")]
    try:
        parsed = parse([text for text in overrides if "=" in text])
    except HydraException:  # Hydra will say more
        return overrides + options
    for override in parsed:
        if override.is_sweep_override() and override.key_or_group in _PRESETS:
            raise UserError(
                f"{override.input_line}: expected one preset, since none can be swept over; give a command for each"
            )
    same = [o.key_or_group for o in parsed if not (o.is_sweep_override() or o.is_hydra_override())]
    unnamed = [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(same)}]"] if same else []
    return overrides + unnamed + options


def _quoted(argument: str) -> str:
    """A path=value that Hydra's grammar would not take for one name, such as input=a,b (1).jpg, its value in quotes."""
    key, equals, value = argument.partition("=")
    if not equals or key not in _PATHS:
        return argument
    try:
        (override,) = parse([argument])
        if not override.is_sweep_override():
            return argument
    except HydraException:
        pass
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


def _near(name: str, choices: list[str]) -> str:
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}? " if close else ""


def _keys(config_name: str) -> Iterator[str]:
    """All dotted keys and groups of a config as the command line composes it: what it chooses for groups counts."""
    groups = [argument for argument in sys.argv[1:] if (CONF / argument.partition("=")[0]).is_dir()]
    chosen = [text for text in groups if not parse([text])[0].is_sweep_override()]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(config_name, chosen, return_hydra_config=True)

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for key, value in node.items():
            yield prefix + str(key)
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")

    yield from walk(OmegaConf.to_container(cfg, resolve=False), "")
