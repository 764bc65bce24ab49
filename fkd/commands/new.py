"""Writes a project of your own: a net, a loss, an augmentation, a recipe and a test, ready to be changed.

fkd new mylab
"""

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from fkd.config import project
from fkd.errors import UserError
from fkd.io.atomic import refusal, scratch_folder
from fkd.terminal import say, tell

_TEMPLATE, _NAME = Path(__file__).parent / "new_project", "mylab"
_USAGE = "usage: fkd new NAME\n\nWrites a project into the folder NAME; NAME is the name of its Python package, too."


def main() -> None:
    """Reads the name from the command line. Exit status 2 if there can be no such project."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & {*arguments}:
        tell(_USAGE)
        return
    try:
        if len(arguments) != 1:
            raise UserError(f"fkd new: expected one name, found {' '.join(arguments) or 'none'}; e.g. fkd new mylab")
        name = arguments[0]
        write_project(Path.cwd(), name)
    except UserError as error:
        say(str(error))
        sys.exit(UserError.status)
    tell(
        f"{name}/ has a net, a loss, an augmentation, a recipe and a test; README.md says what to type. For example:\n"
        f"cd {name} && fkd train model=tiny loss=huber trainer.max_epochs=3"
    )


def write_project(folder: Path, name: str) -> None:
    """Writes the project into the folder of its name below a folder, all of it or nothing.

    Raises:
        UserError: the name is no module name or is taken, the folder exists, or nothing can be written there.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        fitting = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_") or _NAME
        hint = f"e.g. {fitting}" if fitting.isidentifier() and not keyword.iskeyword(fitting) else f"e.g. {_NAME}"
        raise UserError(f"fkd new {name}: expected a name that Python can import, letters, digits and _; {hint}")
    if name != _NAME and (_TEMPLATE / name).exists():
        raise UserError(f"fkd new {name}: a folder of the project has this name; choose another one")
    if (folder / name).exists():
        raise UserError(f"fkd new {name}: expected a new folder, found {folder / name}; choose another name")
    if (outer := project.find(folder)) is not None:
        raise UserError(f"fkd new {name}: expected a folder outside of projects, found {outer}; go to another folder")
    if find_spec(name) is not None:
        raise UserError(f"fkd new {name}: Python has a module of this name already; choose another one")
    try:
        with scratch_folder(folder / name) as scratch:
            for file in (path for path in _TEMPLATE.rglob("*") if path.is_file() and path.parent.name != "__pycache__"):
                parts = [name if part == _NAME else part for part in file.relative_to(_TEMPLATE).parts]
                copy = Path(scratch, name, *parts)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(file.read_text("utf-8").replace(_NAME, name), "utf-8")
            Path(scratch, name).rename(folder / name)
    except OSError as error:
        reason = (refusal(error) or error).strerror
        raise UserError(f"{folder / name}: cannot be written ({reason}); make room or go to another folder") from error
