"""What the command line says of mistakes: one line, with the most similar keys and options."""

import errno
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import hydra
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue
from yaml.error import MarkedYAMLError

from fkd.config import CONF, project
from fkd.errors import FacesVisibleError, Stopped, UserError, did_you_mean
from fkd.io.atomic import refusal
from fkd.library_internals.hydra import in_quotes, without_hydra_state


def explain(error: Exception, config_name: str, arguments: Sequence[str] | None = None) -> str:
    """The message of an error in one line; for an unknown key or option with the most similar ones.

    Args:
        error: what was raised.
        config_name: name of the file in conf.
        arguments: of a call from a program; None: those of this process's command line.
    """
    text, is_typed = str(error), arguments is None
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(error, UserError | Stopped | FacesVisibleError):
        return text
    if is_too_long(error):
        return f"{error.filename}: expected the name of a file, found more characters than one can have; give another"
    refused = refusal(error) or error
    if isinstance(refused, OSError) and refused.filename is not None:  # Hydra's own have no filename
        return f"{refused.filename}: {refused.strerror}; make room or give another place, such as hydra.run.dir=DIR"
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
        given = next((argument for argument in arguments if "interval(" in argument), "interval(...)")
        return f"{given}: expected values, found a range, from which only Optuna draws; add sweep=tpe"
    if found := re.search(r"(?:Sweep parameters|Ambiguous value for argument) '(.+?)'(?: requires|\s+1\.)", text):
        each = "add -m to run each of them" if is_typed else "call it once for each"
        todo = "resume=DIR continues one run" if "hydra.mode=RUN" in arguments else each
        return f"{found[1]}: expected one value, found several; {todo}"
    if found := re.fullmatch(r"unrecognized arguments: (.+)|argument ([^:]+): (expected .+)", text):
        option = f"{found[1]}: no such option" if found[1] else f"{found[2]}: {found[3]}, found none"
        return f"{option}; --help says what the command takes, --hydra-help lists Hydra's options"
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        if not re.fullmatch(r"[~+]*[\w./@:$-]+", key):  # as of a file's name
            return (
                f"{error.override}: expected key=value, found no key; if it is the name of a file, give its key, too, "
                f'as in "input={in_quotes(error.override)}"'
            )
        return (
            f'{error.override}: expected a value that Hydra can parse; put it into quotes: "{key}={in_quotes(value)}"'
        )
    if found := re.search(r"Could not (?:find|load) '((?:hydra/)?[^'/]+)/([^']*)'", text):
        group, name = found.groups()
        options = [option for option, path in project.config_files(group) if path.stem != "base"]
        hint = did_you_mean(name, options)
        return f"{group}={name}: no such option; {hint and f'{hint} '}choose one of {', '.join(options) or 'none'}"
    if found := re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text):
        key, group, keys = found[1], found[1].split(".")[0], list(keys_of(config_name, arguments))
        if is_group(group) and group not in keys:
            return f"{key}: {group} has not been chosen; name it, too: {group}=NAME {key}=..."
        if key.startswith("hydra.launcher.") and not any(given.startswith("hydra/launcher=") for given in arguments):
            return f"{key}: no launcher has been chosen; name it, too: hydra/launcher=NAME {key}=..."
        keys += ["resume"] if "ckpt_path" in keys else []
        return f"{key}: no such key; " + (did_you_mean(key, keys) or f"conf/ lists all keys, +{key}=... adds one")
    return text if error.__cause__ is None else f"{text}: {error.__cause__}"


def is_too_long(error: Exception) -> TypeGuard[OSError]:
    """Whether a name was given that no file can have."""
    return isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG


def is_group(name: str) -> bool:
    """Whether a folder of configs has this name, such as model."""
    return any((folder / name).is_dir() for folder in project.folders())


def keys_of(config_name: str, arguments: Sequence[str]) -> Iterator[str]:
    """All dotted keys and groups of a config, with the options that the arguments choose for its groups."""
    chosen = []
    for argument in arguments:
        group, _, option = argument.partition("=")
        if option and any((folder / group / f"{option}.yaml").is_file() for folder in project.folders()):
            chosen.append(argument)
    with without_hydra_state(), hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(config_name, chosen, return_hydra_config=True)

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for key, value in node.items():
            yield prefix + str(key)
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")

    yield from walk(OmegaConf.to_container(cfg, resolve=False), "")
