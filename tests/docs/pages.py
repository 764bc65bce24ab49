"""The README and the pages of the documentation, and what they show."""

import re
import shlex

from tests.conftest import PROJECT

FILES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))]
FILES += [PROJECT / "fkd/weights/README.md", *sorted((PROJECT / "fkd/commands/new_project").glob("*.md"))]
PAGES = {path.relative_to(PROJECT).as_posix(): path.read_text() for path in FILES}
TEXT = "\n".join(PAGES.values())


def blocks(language: str, text: str = TEXT) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def block(language: str, first_line: str) -> str:
    """The fenced block that starts with a line."""
    return next(text for text in blocks(language) if text.startswith(first_line))


def cells(text: str) -> list[tuple[list[str], str]]:
    """Options and content of each code cell of a notebook, in order."""
    found = re.findall(r"^```\{code-cell\} ipython3\n((?::[^\n]*\n)*)(.*?)^```", text, re.S | re.M)
    return [(options.splitlines(), content.lstrip("\n")) for options, content in found]


def lines(text: str = TEXT) -> list[str]:
    """What the shell blocks tell one to type, each command on one line."""
    return "".join(blocks("bash", text)).replace("\\\n", " ").splitlines()


def commands() -> list[str]:
    """All commands of fkd that are named, in blocks and in sentences."""
    inline = [
        line for text in PAGES.values() for line in re.findall(r"`((?:fkd|python scripts/)[^`]+)`", unfenced(text))
    ]
    parts = [part for line in [*lines(), *inline] for part in line.split(" && ")]
    return list(dict.fromkeys(part for part in parts if part.startswith(("fkd ", "python scripts/"))))


def unfenced(text: str) -> str:
    """A page without its blocks, on one line."""
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M).replace("\n", " ")


def words(command: str) -> list[str]:
    """The arguments of a command of fkd, without its name."""
    return shlex.split(command)[2:]
