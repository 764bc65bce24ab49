"""The command `fkd`, or `python -m fkd`: lists the commands, or runs one."""

import ast
import difflib
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import fkd

_COMMANDS = Path(__file__).parent / "commands"
_LIGHT = ("predict", "filter", "new")
"""Commands for which requirements-light.txt is enough."""
_NEEDED = {"hydra": "hydra-core>=1.3.2,<1.4", "rich": "rich>=13.7"}
"""Package that every command imports -> how pip knows it, as in requirements-light.txt."""
_USAGE = """usage: fkd COMMAND [group=option ...] [key=value ...]

commands
{}

`fkd COMMAND --help` says what it takes. Bash completes commands, groups and options after
eval "$(fkd -sc install=bash)"; zsh and fish likewise."""


def summaries() -> dict[str, str]:
    """Name of each command -> what it does; needs neither torch nor Hydra."""
    sources = {name: (_COMMANDS / f"{name}.py").read_text("utf-8") for name in _names()}
    texts = {name: ast.get_docstring(ast.parse(source)) or "" for name, source in sources.items()}
    return {name: text.partition("\n\n")[0].replace("\n", " ") for name, text in texts.items()}


def _names() -> list[str]:
    return sorted(path.stem for path in _COMMANDS.glob("*.py") if path.stem != "__init__")


def main() -> None:
    """Runs the command of the first argument with the others.

    Exit status 2 if there is no such command, or if a package is missing that it needs.
    """
    if missing := [wanted for package, wanted in _NEEDED.items() if find_spec(package) is None]:
        installed = " ".join(f"'{wanted}'" for wanted in missing)
        sys.stderr.write(f"error: fkd: its commands need what is not installed yet; pip install {installed}\n")
        sys.exit(2)
    from fkd.distributed import importing
    from fkd.terminal import say, tell  # needs Rich

    name = sys.argv[1] if sys.argv[1:] else "--help"
    if name in ("--version", "-V"):
        tell(f"fkd {fkd.__version__}")
    elif name in ("--help", "-h", "help"):
        known = summaries()
        width = max(map(len, known))
        tell(_USAGE.format("\n".join(f"  {command:<{width}}  {text}" for command, text in known.items())))
    elif name in ("-sc", "--shell-completion"):
        from fkd.cli.completion import complete  # needs Hydra

        complete(_names(), sys.argv[2:])
    elif name not in _names():
        near = difflib.get_close_matches(name, summaries(), n=1)
        hint = f"did you mean fkd {near[0]}? " if near else ""
        say(f"{name}: no such command; {hint}`fkd` lists all")
        sys.exit(2)
    elif name not in _LIGHT and find_spec("torch") is None:
        say(f"fkd {name}: needs torch, which is not installed; install fkd again without --no-deps")
        sys.exit(2)
    elif {"--help", "-h"} & {*sys.argv[2:]} and name != "new":
        from fkd.cli.command import Command

        sys.argv[1:2] = []
        Command(lambda cfg: None, name).main()  # not the command's own module, which may import torch
    else:
        # Lightning starts the other processes of trainer=ddp as `python argv[0] ...`, or by the name of a module.
        sys.argv = [str(_COMMANDS / f"{name}.py"), *sys.argv[2:]]
        sys.modules["__main__"].__spec__ = None
        with importing():
            command = import_module(f"fkd.commands.{name}")
        command.main()


if __name__ == "__main__":
    main()
