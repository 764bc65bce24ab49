"""The command `fkd`, or `python -m fkd`: lists the commands, or runs one."""

import ast
import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import fkd

_COMMANDS = Path(__file__).parent / "commands"
_LIGHT = ("predict", "filter", "new")
"""Commands for which requirements-light.txt is enough."""
_USAGE = (
    "usage: fkd COMMAND [group=option ...] [key=value ...]\n\ncommands\n{}\n\n`fkd COMMAND --help` says what it takes."
)


def summaries() -> dict[str, str]:
    """Name of each command -> what it does; needs neither torch nor Hydra."""
    sources = {name: (_COMMANDS / f"{name}.py").read_text("utf-8") for name in _names()}
    texts = {name: ast.get_docstring(ast.parse(source)) or "" for name, source in sources.items()}
    return {name: text.partition("\n\n")[0].replace("\n", " ") for name, text in texts.items()}


def _names() -> list[str]:
    return sorted(path.stem for path in _COMMANDS.glob("*.py") if path.stem != "__init__")


def main() -> None:
    """Runs the command of the first argument with the others. Exit status 2 if there is no such command."""
    name = sys.argv[1] if sys.argv[1:] else "--help"
    if name in ("--version", "-V"):
        print(f"fkd {fkd.__version__}")
    elif name in ("--help", "-h", "help"):
        known = summaries()
        width = max(map(len, known))
        print(_USAGE.format("\n".join(f"  {command:<{width}}  {text}" for command, text in known.items())))
    elif name in ("-sc", "--shell-completion"):
        complete(sys.argv[2:])
    elif name not in _names():
        near = difflib.get_close_matches(name, summaries(), n=1)
        hint = f"did you mean fkd {near[0]}? " if near else ""
        print(f"error: {name}: no such command; {hint}`fkd` lists all", file=sys.stderr)
        sys.exit(2)
    elif name not in _LIGHT and find_spec("torch") is None:
        print(f"error: fkd {name}: needs torch, which is not installed; pip install fkd", file=sys.stderr)
        sys.exit(2)
    else:
        sys.argv[1:2] = []
        run(name)


def run(name: str) -> None:
    """Runs a command with the arguments of this process."""
    # Lightning starts the other processes of trainer=ddp as `python argv[0] ...`, or by the name of a module.
    sys.argv[0] = str(_COMMANDS / f"{name}.py")
    sys.modules["__main__"].__spec__ = None
    import_module(f"fkd.commands.{name}").main()


def complete(arguments: Sequence[str]) -> None:
    """Hydra's completion for bash, zsh and fish: `install=SHELL` prints a script for the shell, `query=SHELL` choices.

    A shell asks with its line in COMP_LINE. Hydra knows one command for a line, so the command's name is left out.
    """
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    sys.argv = ["fkd", "--shell-completion", *arguments]
    if not line or words[2:] or (words[1:] and line.endswith(" ")):
        name = words[1] if words[1:] else "train"
        if name in _names() and name != "new":
            os.environ["COMP_LINE"] = " ".join(["fkd", *words[2:]]) + (" " if line.endswith(" ") else "")
            import_module(f"fkd.commands.{name}").main()
    else:
        print("\n".join(_names()))


if __name__ == "__main__":
    main()
