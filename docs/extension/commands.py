"""The reference of commands: their docstrings, and the keys of their configs."""

import ast
from collections.abc import Mapping
from pathlib import Path

from docs.extension.configs import Key, Option, escaped, table


def markdown(conf: Path, commands: Path) -> str:
    """A section for each command: what it does, examples, groups and keys."""
    return "\n\n".join(_command(conf, path) for path in sorted(commands.glob("*.py")) if path.stem != "__init__")


def keys(conf: Path, name: str) -> list[Key]:
    """The keys of a command's config and of those that it includes, without wiring."""
    config = _config(conf, name)
    above = [key for each in config.starts_from for key in keys(conf, each)]
    own = [key for key in config.keys if not key.name.startswith(("hydra", "run_dir"))]
    return [*(key for key in above if key.name not in {key.name for key in own}), *own]


def uncommented(conf: Path, commands: Path) -> list[str]:
    """Keys of commands that lack a comment."""
    names = sorted(path.stem for path in commands.glob("*.py") if (conf / f"{path.stem}.yaml").is_file())
    return [
        f"{name}.yaml: {key.name}: no comment beside it"
        for name in names
        for key in keys(conf, name)
        if not key.comment
    ]


def _config(conf: Path, name: str) -> Option:
    return Option("", name, (conf / f"{name}.yaml").read_text("utf-8"))


def _groups(conf: Path, name: str) -> dict[str, str]:
    """Group -> its default, of a config and of those it includes."""
    config = _config(conf, name)
    found: dict[str, str] = {}
    for above in config.starts_from:
        found |= _groups(conf, above)
    for entry in config.content.get("defaults", []):
        if isinstance(entry, Mapping):
            found |= {str(group): str(option) for group, option in entry.items() if "@" not in group}
    return {group: option for group, option in found.items() if group not in ("hydra", "data/loader")}


def _command(conf: Path, path: Path) -> str:
    name = path.stem
    summary, _, rest = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n\n")
    examples = [line for line in rest.splitlines() if line.startswith("fkd ")]
    parts = [f"## `fkd {name}`", escaped(summary)]
    if examples:
        parts.append("\n".join(["```bash", *examples, "```"]))
    if (conf / f"{name}.yaml").is_file():
        groups = _groups(conf, name).items()
        chosen = ", ".join(f"`{group}={option}`" for group, option in groups if option != "None")
        free = ", ".join(f"`{group}`" for group, option in groups if option == "None")
        parts.append(f"Groups with their defaults: {chosen or 'none'}." + (f" Others: {free}." if free else ""))
        parts.append(table(keys(conf, name)))
    return "\n\n".join(parts)
