"""Completion of `fkd` in a shell, on top of Hydra's: `eval "$(fkd -sc install=bash)"`."""

import os
import sys
from collections.abc import Sequence

import hydra

from fkd.cli.command import use_projects
from fkd.config import CONF, resolvers  # noqa: F401 (configs call the resolvers)
from fkd.terminal import tell


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
    if name not in commands or not (CONF / f"{name}.yaml").is_file():
        return
    use_projects([])
    os.environ["COMP_LINE"] = " ".join(["fkd", *words[2:]]) + (" " if line.endswith(" ") else "")
    sys.argv = ["fkd", "--shell-completion", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(lambda cfg: None)()
