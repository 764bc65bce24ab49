"""The arguments of a command line or a program, made into those that Hydra takes."""

import os
import re
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path

from hydra.errors import HydraException

from fkd import distributed
from fkd.cli.messages import is_group, keys_of
from fkd.config import project
from fkd.errors import UserError
from fkd.library_internals.hydra import in_quotes, parse
from fkd.training.runs.reading import read_yaml

PATHS = (
    *("input", "output", "into", "ckpt", "ckpt_path", "weights", "runs"),
    *("data.root", "data.exclude", "data.download.url", "data.download.sums"),
    *("detector.file", "detector.model", "distill.teacher"),
)
"""Keys whose values are paths: they may hold characters that have a meaning in Hydra's grammar."""
_CONFIG_DIRS = "FKD_CONFIG_DIRS"
"""Environment variable by which `--config-dir` reaches the other processes of trainer=ddp."""
_PRESETS = ("sweep", "debug", "hydra/launcher", "hydra/sweeper")
"""Groups whose options configure a whole command, not one of its jobs."""
_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--info", "-i", "--experimental-rerun"),
)
"""Hydra's options that take a value."""


def use_projects(arguments: Sequence[str]) -> list[str]:
    """Use the project of this folder, or that of the run of `resume=DIR`, and those that `--config-dir DIR` names.

    Gives the other arguments.

    Raises:
        UserError: a project's file is wrong, or there is no such folder.
    """
    named, others, rest = [], list[str](), iter(arguments)
    if not distributed.is_first() and (inherited := os.environ.get(_CONFIG_DIRS)):
        named = [project.of_folder(Path(folder)) for folder in inherited.split(os.pathsep)]
    for argument in rest:
        option, equals, folder = argument.partition("=")
        if option in ("--config-dir", "-cd"):
            named.append(project.of_folder(Path(folder if equals else next(rest, ""))))
        else:
            others.append(argument)
    os.environ[_CONFIG_DIRS] = os.pathsep.join(str(each.conf) for each in named)
    resumed = [argument.removeprefix("resume=") for argument in others if argument.startswith("resume=")]
    found = _project_of_run(Path(resumed[0].strip("'\"")).expanduser()) if resumed else None
    found = project.find(Path.cwd()) if found is None else found
    project.use([*named, *([] if found is None else [found])])
    return others


def _project_of_run(folder: Path) -> project.Project | None:
    """The project in which the folder of a run or sweep lies, or whose configs it was made with."""
    if not folder.is_dir():
        return None
    if (found := project.find(folder.resolve())) is not None:
        return found
    for name in (".hydra/hydra.yaml", "multirun.yaml"):
        match read_yaml(folder, name):
            case {"hydra": {"runtime": {"config_sources": [*sources]}}}:
                for source in sources:
                    match source:
                        case {"provider": "project", "path": str(path)} if Path(path).is_dir():
                            return project.of_folder(Path(path))
    return None


def of_program(overrides: Sequence[str], config_name: str) -> list[str]:
    """The overrides that a program gives, as Hydra wants them; the project of this folder is used from now on.

    Raises:
        UserError: they are one text, or one of them is an option or no key=value.
    """
    if isinstance(overrides, str):
        raise UserError(f"overrides: expected a list of texts, found one text; give [{overrides!r}]")
    if option := next((each for each in overrides if each.startswith("-")), ""):
        raise UserError(f"{option}: expected key=value, found an option, which only the command line takes")
    use_projects(overrides)
    return [quoted(argument) for argument in overrides_of(overrides, "", config_name)]


def overrides_of(arguments: Sequence[str], positional: str, config_name: str) -> list[str]:
    """Arguments in which words without = are the value of the positional key, and ~/ is the home folder.

    So are existing files whose name holds a =. Several words, such as those that a shell makes of a glob, are a list if
    the key's values are paths.

    Raises:
        UserError: a word is neither an override nor an option, or starts a comment.
    """
    given = next((argument for argument in arguments if positional and argument.startswith(f"{positional}=")), "")
    result, words, place = list[str](), list[str](), 0
    for before, word in pairwise(["", *arguments]):
        if word.startswith("#"):
            raise UserError(
                f"{word}: expected key=value, found a comment, which this shell passes on (zsh: setopt "
                "interactivecomments); leave it out"
            )
        is_override = "=" in word and not (positional in PATHS and _is_file(word, config_name))
        if is_override or before in _WITH_VALUE or re.match(r"-|~[^/]", word):
            result.append(word)
            continue
        is_value = positional and not given and (Path(word).exists() or is_group(word))
        keys = [] if is_value else list(keys_of(config_name, arguments))
        if word in keys:
            raise UserError(f"{word}: expected {word}=VALUE, found no value")
        if not positional:
            like = f"ckpt={word}" if "ckpt" in keys and Path(word).suffix else "data=synthetic"
            raise UserError(f"{word}: expected key=value, e.g. {'model=compact' if 'model' in keys else like}")
        if given or (words and positional not in PATHS):
            raise UserError(f"{word}: expected key=value after {given or f'{positional}={words[0]}'}")
        place = place if words else len(result)
        words.append(word)
    if words:
        values = words[0] if len(words) == 1 else f"[{','.join(map(in_quotes, words))}]"
        result.insert(place, f"{positional}={values}")
    return [re.sub(r"(?<=[=\[,'\"])~(?=/)", lambda _: str(Path.home()), argument) for argument in result]


def _is_file(word: str, config_name: str) -> bool:
    """Whether a word with = in it is the name of a file, such as a=b.jpg, and no override."""
    key = word.partition("=")[0].lstrip("+~")
    return os.path.exists(word) and not is_group(key) and key not in keys_of(config_name, [])


def arranged(arguments: Sequence[str]) -> list[str]:
    """Overrides, then options (Hydra takes none in between); keys that are not swept are left out of folder names.

    Raises:
        UserError: a sweep over presets, each of which stands for a whole command.
    """
    overrides, options, rest = [], [], iter(arguments)
    for argument in rest:
        if argument.startswith("-"):
            options += [argument, *(islice(rest, 1) if argument in _WITH_VALUE else ())]
        else:
            overrides.append(argument)
    if "hydra.mode=RUN" in overrides:  # one run is resumed
        options = [option for option in options if option not in ("-m", "--multirun")]
    parsed = parse([text for text in overrides if "=" in text])
    for override in parsed:
        if override.is_sweep_override() and override.key_or_group in _PRESETS:
            raise UserError(
                f"{override.input_line}: expected one preset, since none can be swept over; give a command for each"
            )
    same = [o.key_or_group for o in parsed if not (o.is_sweep_override() or o.is_hydra_override())]
    unnamed = [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(same)}]"] if same else []
    return overrides + unnamed + options


def quoted(argument: str) -> str:
    """The argument with its value in quotes, if that is a path, or a list of paths, that Hydra cannot parse.

    As in input=a,b (1).jpg or ckpt=[1_model=simple/best.ckpt,best.ckpt].
    """
    key, equals, value = argument.partition("=")
    if not equals or key not in PATHS:
        return argument
    try:
        (override,) = parse([argument])
        if not override.is_sweep_override():
            return argument
    except HydraException:
        pass
    if re.fullmatch(r"\[.+\]", value) and not Path(value).exists():  # a list of such paths
        return f"{key}=[{','.join(in_quotes(each.strip()) for each in value[1:-1].split(','))}]"
    return f"{key}={in_quotes(value)}"
