"""The text of `--help`, from the files of conf/ and the docstring of the command; needs neither torch nor Hydra."""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fkd.config.project import config_files

COMMANDS = Path(__file__).parents[1] / "commands"
_KEY = re.compile(r"((?:  )*)(\w+):(?: (.*?))??(?: +# (.*))?")
_HIDDEN = ("base",)
"""Files that other options include."""
_NO_CHOICE = ("hydra", "data/loader")
"""Groups with one option, or with Hydra's own settings."""


def help_text(conf: Path, config_name: str, projects: Sequence[Path] = (), words: Sequence[str] = ()) -> str:
    """Usage, examples, groups with their options, and the keys of a config and of the options that are given.

    Args:
        conf: the folder of fkd's configs; scripts/ lies beside it in a clone.
        config_name: `<config_name>.yaml` there, and `<config_name>.py` in fkd/commands or scripts/.
        projects: folders of configs that come before.
        words: of the command line; those like `data=csv` add the keys of that option.
    """
    folders = (*projects, conf)
    story = COMMANDS / f"{config_name}.py"
    program, story = (
        (f"fkd {config_name}", story)
        if story.is_file()
        else (f"python scripts/{config_name}.py", conf.parent / "scripts" / f"{config_name}.py")
    )
    summary, examples = _docstring(story)
    groups = _groups(conf, config_name)
    named = {group: _options(folders, group) for group in groups}
    recipes = {
        group: files for group, files in named.items() if groups[group] is None and all(map(_is_recipe, files.values()))
    }
    parts = [
        f"usage: {program} [-m] [group=option ...] [key=value ...]\n\n{summary}",
        _section("examples", dict.fromkeys(examples, "")),
        _section(
            "groups, each with its default first",
            {
                group: " | ".join(sorted(files, key=lambda option: option != groups[group]))
                for group, files in named.items()
                if group not in recipes
            },
        ),
        *(
            _section(f"{group}=", {option: _comment(file) for option, file in files.items()})
            for group, files in recipes.items()
        ),
        _section("keys", _keys(_commented([conf], config_name))),
        *(
            _section(f"{group}={option}", _keys(_commented(folders, f"{group}/{option}"), f"{group}."))
            for group, _, option in (word.partition("=") for word in words)
            if option in named.get(group, ()) and group not in recipes
        ),
        "--help behind options, e.g. data=csv --help, lists their keys, too.\n"
        "--cfg job shows every key with its value, -m runs each combination of values with commas,\n"
        "--hydra-help lists Hydra's own options.",
    ]
    return "\n\n".join(part for part in parts if part)


def _keys(found: Mapping[str, tuple[str, str]], prefix: str = "") -> dict[str, str]:
    """`key=value` -> comment."""
    return {f"{prefix}{key}={value}": comment for key, (value, comment) in found.items()}


def _section(title: str, rows: Mapping[str, str]) -> str:
    """A title and aligned rows of `label  text`."""
    width = max(map(len, rows), default=0)
    return "\n".join([title, *(f"  {label:<{width}}  {text}".rstrip() for label, text in rows.items())]) if rows else ""


def _docstring(script: Path) -> tuple[str, list[str]]:
    """A script's first paragraph, and the command lines that follow it."""
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    summary, _, rest = text.partition("\n\n")
    return summary, [line for line in rest.splitlines() if line.startswith(("fkd ", "python "))]


def _groups(conf: Path, config_name: str) -> dict[str, str | None]:
    """Group -> default option, of a config and of those it includes."""
    found: dict[str, str | None] = {}
    for entry in _read(conf / f"{config_name}.yaml").get("defaults", []):
        if isinstance(entry, Mapping):
            found |= {str(group): option for group, option in entry.items() if _is_choice(group)}
        elif entry != "_self_":
            found |= _groups(conf, entry)
    return found


def _is_choice(group: str) -> bool:
    return group not in _NO_CHOICE and "@" not in group


def _options(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """Options of a group and their files; of those in subfolders, which may be groups themselves, only the recipes."""
    files = ((option, file) for option, file in config_files(group, folders) if file.stem not in _HIDDEN)
    return {option: file for option, file in files if "/" not in option or _is_recipe(file)}


def _is_recipe(file: Path) -> bool:
    return file.read_text().startswith("# @package _global_")


def _comment(path: Path) -> str:
    """The comment in the first line of a file."""
    for line in path.read_text().splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
    return ""


def _commented(folders: Sequence[Path], name: str) -> dict[str, tuple[str, str]]:
    """Key -> value and comment, of a config and of those that it includes, whose keys it may set anew."""
    path = next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)
    found: dict[str, tuple[str, str]] = {}
    if path is None:
        return found
    for entry in _read(path).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            include, _, package = entry.partition("@")
            below = PurePosixPath("/", name).parent.joinpath(include).relative_to("/").as_posix()
            prefix = "" if package in ("", "_here_") else f"{package}."
            found |= {prefix + key: row for key, row in _commented(folders, below).items()}
    parents: list[str] = []
    for line in path.read_text().splitlines():
        if (match := _KEY.fullmatch(line)) is not None:
            indent, key, value, comment = match.groups()
            parents = [*parents[: len(indent) // 2], key]
            dotted = ".".join(parents)
            if value and (comment or dotted in found):
                found[dotted] = value.replace("???", "...").replace(", ", ","), comment or found[dotted][1]
    return found


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    return content
