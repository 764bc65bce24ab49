"""Completion of `fkd` in a shell, on top of Hydra's: `eval "$(fkd -sc install=bash)"`."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra

from fkd.cli.arguments import PATHS, use_projects
from fkd.config import CONF, resolvers  # noqa: F401 (configs call the resolvers)
from fkd.terminal import tell

_PATHS = (*PATHS, "resume", "hydra.run.dir", "hydra.sweep.dir")
"""Keys that a shell completes with files and folders, which Hydra does after ./ and / only."""


def complete(commands: Sequence[str], arguments: Sequence[str]) -> None:
    """Print a script for the shell (`install=SHELL`, `uninstall=SHELL`), or choices (`query=SHELL`).

    A shell asks with its line in COMP_LINE. Hydra knows one command for a line, so the command's name is left out.

    Args:
        commands: names of the commands.
        arguments: those of `fkd -sc`.
    """
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if line and not words[2:] and not (words[1:] and line.endswith(" ")):
        tell("\n".join(commands))
        return
    name = words[1] if words[1:] else "train"
    key, equals, start = ("" if line.endswith(" ") else line).rpartition(" ")[2].partition("=")
    if name in commands and equals and key in _PATHS:
        tell("\n".join(f"{key}={path}" for path in _paths(start)))
        return
    if name not in commands or not (CONF / f"{name}.yaml").is_file():
        return
    use_projects([])
    os.environ["COMP_LINE"] = " ".join(["fkd", *words[2:]]) + (" " if line.endswith(" ") else "")
    sys.argv = ["fkd", "--shell-completion", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(lambda cfg: None)()


def _paths(start: str) -> Iterator[str]:
    """The files and folders whose paths begin so; those with spaces are left out, since they would be several words."""
    folder, slash, name = start.rpartition("/")
    try:
        entries = sorted(Path(f"{folder}{slash}" or ".").expanduser().iterdir())
    except OSError:
        return
    for each in entries:
        if each.name.startswith(name) and (name or not each.name.startswith(".")) and not set(each.name) & set(" \t\n"):
            yield f"{folder}{slash}{each.name}{'/' if each.is_dir() else ''}"
