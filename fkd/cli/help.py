"""What `--help` prints, read from the files of conf/ and the script itself; needs neither torch nor Hydra."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

COMMANDS = Path(__file__).parents[1] / "commands"
_ROOT_KEY = re.compile(r"(\w+): (\S+) +# (.*)")
_HIDDEN = ("base",)
"""Files that others are made of."""
_NO_CHOICE = ("hydra", "data/loader")
"""Groups with one option, or with Hydra's own settings."""


def help_text(conf: Path, config_name: str) -> str:
    """Usage, examples, groups with their options, and the keys of a config.

    Args:
        conf: the folder of all configs; scripts/ lies beside it.
        config_name: `<config_name>.yaml` there, and `<config_name>.py` in scripts/.
    """
    story = COMMANDS / f"{config_name}.py"
    program, story = (
        (f"fkd {config_name}", story)
        if story.is_file()
        else (f"python scripts/{config_name}.py", conf.parent / "scripts" / f"{config_name}.py")
    )
    summary, examples = _docstring(story)
    groups = _groups(conf, config_name)
    named = {group: _options(conf, group) for group in groups}
    recipes = {group: options for group, options in named.items() if _holds_recipes(conf, group, groups[group])}
    parts = [
        f"usage: {program} [-m] [group=option ...] [key=value ...]\n\n{summary}",
        _section("examples", examples),
        _section(
            "groups, with what is chosen if you name none",
            _choices({group: options for group, options in named.items() if group not in recipes}, groups),
        ),
        *(_section(f"{group}=", _described(conf, group, options)) for group, options in recipes.items()),
        _section("keys", _root_keys(conf, config_name)),
        "--cfg job shows every key with its value, -m makes a run of each combination of values with commas,\n"
        "--hydra-help says what else there is.",
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)]) if lines else ""


def _docstring(script: Path) -> tuple[str, list[str]]:
    """A script's first paragraph, and the command lines that follow it."""
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    summary, _, rest = text.partition("\n\n")
    return summary, [line for line in rest.splitlines() if line.startswith(("fkd ", "python "))]


def _groups(conf: Path, config_name: str) -> dict[str, str | None]:
    """Group -> default option, of a config and of those it is made of."""
    found: dict[str, str | None] = {}
    for entry in _read(conf / f"{config_name}.yaml").get("defaults", []):
        if isinstance(entry, Mapping):
            found |= {str(group): option for group, option in entry.items() if group not in _NO_CHOICE}
        elif entry != "_self_":
            found |= _groups(conf, entry)
    return found


def _options(conf: Path, group: str) -> list[str]:
    """Names of its files; of those in subfolders, which may be groups of their own, the recipes alone."""
    folder = conf / group
    files = sorted(file for file in folder.rglob("*.yaml") if file.parent == folder or _is_recipe(file))
    return [str(file.relative_to(conf / group).with_suffix("")) for file in files if file.stem not in _HIDDEN]


def _holds_recipes(conf: Path, group: str, default: str | None) -> bool:
    """Whether the options of a group change the config as a whole: none is chosen unless it is named."""
    files = [conf / group / f"{option}.yaml" for option in _options(conf, group)]
    return default is None and all(map(_is_recipe, files))


def _is_recipe(file: Path) -> bool:
    return file.read_text().startswith("# @package _global_")


def _choices(named: Mapping[str, list[str]], defaults: Mapping[str, str | None]) -> list[str]:
    """`group  default | others`."""
    width = max((len(group) for group in named), default=0)
    return [
        f"{group:<{width}}  " + " | ".join(sorted(options, key=lambda option: option != defaults[group]))
        for group, options in named.items()
    ]


def _described(conf: Path, group: str, options: list[str]) -> list[str]:
    width = max(len(option) for option in options)
    return [f"{option:<{width}}  {_comment(conf / group / f'{option}.yaml')}".rstrip() for option in options]


def _comment(path: Path) -> str:
    """The first line of a file that says what it is."""
    for line in path.read_text().splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
    return ""


def _root_keys(conf: Path, config_name: str) -> list[str]:
    """`key=value  what it is` for the keys of the config's own that say so."""
    rows = list(_commented(conf, config_name))
    width = max((len(key) for key, _ in rows), default=0)
    return [f"{key:<{width}}  {comment}" for key, comment in rows]


def _commented(conf: Path, config_name: str) -> Iterator[tuple[str, str]]:
    path = conf / f"{config_name}.yaml"
    for entry in _read(path).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            yield from _commented(conf, entry)
    for line in path.read_text().splitlines():
        if (match := _ROOT_KEY.fullmatch(line)) is not None:
            key, value, comment = match.groups()
            yield f"{key}={value.replace('???', '...')}", comment


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    return content
