"""The reference of configs, made of the YAML files and their comments."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

AS_A_WHOLE = ("augmentation", "data/mapping", "debug", "experiment", "filter", "schema", "sweep")
"""Groups whose files are shown as they are: lists, and values for keys of other groups."""
_OF_MANY_KINDS = ("data",)
"""Groups whose options may mean different things by one key."""
_OF_HYDRA = ("hydra/default", "hydra/tool")
_WIRING = ("_target_", "_partial_", "_recursive_", "defaults")
_LONGEST, _MOST_LINES = 50, 60  # characters of a value, lines of a file that are shown


@dataclass(frozen=True)
class Key:
    """One key of a config file.

    Attributes:
        name: within the file, dotted.
        value: as written there; "" for one with keys of its own.
        comment: beside it; "" if there is none.
    """

    name: str
    value: str
    comment: str

    @property
    def is_taken(self) -> bool:
        """Whether its value is that of another key, so that the comment stands there."""
        return self.value.startswith("${")


@dataclass(frozen=True)
class Option:
    """One file of a group.

    Attributes:
        group: name of its folder, e.g. "model" or "hydra/launcher".
        name: what is typed after ``group=``.
        text: content of the file.
    """

    group: str
    name: str
    text: str

    @property
    def comment(self) -> str:
        """The comment at the top of the file."""
        lines = [line for line in self.text.splitlines() if not line.startswith("# @package")]
        block = lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in block)

    @property
    def package(self) -> str:
        """What stands before its keys on the command line."""
        given = re.match(r"# @package (\S+)\n", self.text)
        name = given[1] if given else self.group.replace("/", ".").replace("model.backbone", "model")
        return "" if name == "_global_" else f"{name}."

    @cached_property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load(self.text) or {}
        return content

    @cached_property
    def keys(self) -> list[Key]:
        """Its keys, without those that only say what is built."""
        node = yaml.compose(self.text)
        return [] if node is None else list(_keys(node, self.text.splitlines(), ""))

    @property
    def classes(self) -> list[str]:
        """Dotted names of what it builds."""
        return list(dict.fromkeys(re.findall(r"^ *(?:- )?_target_: (\S+)", self.text, re.M)))

    @cached_property
    def starts_from(self) -> list[str]:
        """Files whose keys it has, too, as paths in conf/ without .yaml."""
        given = [entry.partition("@")[0] for entry in self.content.get("defaults", []) if isinstance(entry, str)]
        return [(PurePosixPath("/", self.group) / entry).as_posix()[1:] for entry in given if entry != "_self_"]

    @property
    def sets(self) -> list[str]:
        """Choices of other groups that come with it."""
        entries = [entry for entry in self.content.get("defaults", []) if isinstance(entry, Mapping)]
        pairs = [(str(key), value) for entry in entries for key, value in entry.items()]
        names = [(re.sub(r"^override |@.*", "", key).strip("/"), value) for key, value in pairs]
        return [f"{name}={value}" for name, value in names if value is not None]


def _keys(node: yaml.Node, lines: list[str], before: str) -> Iterator[Key]:
    if not isinstance(node, yaml.MappingNode) or any(key.tag != "tag:yaml.org,2002:str" for key, _ in node.value):
        return
    for key, value in node.value:
        if key.value in _WIRING:
            continue
        name = f"{before}{key.value}"
        parents = isinstance(value, yaml.MappingNode) and not value.flow_style and _is_named(value)
        last = key.end_mark if parents or _is_below(key, value) else value.end_mark
        comment = re.search(r"(?:^|\s)# (.*)", lines[last.line][last.column :])
        yield Key(name, "" if parents else _written(value), comment[1] if comment else "")
        if parents:
            yield from _keys(value, lines, f"{name}.")


def _is_named(node: yaml.MappingNode) -> bool:
    return all(key.tag == "tag:yaml.org,2002:str" for key, _ in node.value)


def _is_below(key: yaml.Node, value: yaml.Node) -> bool:
    return bool(value.start_mark.line > key.end_mark.line)


def _written(node: yaml.Node) -> str:
    """A value on one line."""
    source: str = node.start_mark.buffer[node.start_mark.pointer : node.end_mark.pointer]
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        source = yaml.safe_dump(yaml.safe_load(yaml.serialize(node)), default_flow_style=True, width=10_000).strip()
    text = " ".join(source.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


@cache
def options(conf: Path) -> dict[str, list[Option]]:
    """Group -> its options, bases first."""
    found: dict[str, list[Option]] = {}
    for path in sorted(conf.rglob("*.yaml"), key=lambda path: (path.stem != "base", path)):
        place = path.relative_to(conf).with_suffix("")
        if len(place.parts) == 1 or place.as_posix() in _OF_HYDRA:
            continue
        whole = place.parts[0] in AS_A_WHOLE
        group = place.parts[0] if whole else place.parent.as_posix()
        found.setdefault(group, []).append(Option(group, place.relative_to(group).as_posix(), path.read_text("utf-8")))
    return dict(sorted(found.items()))


def described(conf: Path, option: Option) -> list[Key]:
    """The keys of an option; one without a comment has that of the same key in what it starts from, or beside it."""
    beside = [] if option.group in _OF_MANY_KINDS else options(conf)[option.group]
    known = {key.name: key.comment for other in (*beside, *_above(conf, option)) for key in other.keys if key.comment}
    keys = (Key(key.name, key.value, key.comment or known.get(key.name, "")) for key in option.keys)
    is_name = {("name", option.name), ("name", "???")}
    return [
        key
        for key in keys
        if (key.name, key.value) not in is_name and (key.comment or not (key.is_taken or _only_holds(key, option)))
    ]


def _above(conf: Path, option: Option) -> list[Option]:
    """The options that an option starts from, the nearest last."""
    each = {f"{other.group}/{other.name}": other for others in options(conf).values() for other in others}
    near = [each[place] for place in option.starts_from]
    return [*(far for other in near for far in _above(conf, other)), *near]


def _only_holds(key: Key, option: Option) -> bool:
    """Whether a key stands for what is built with the keys below it."""
    return not key.value and any(other.name.startswith(f"{key.name}.") or not other.value for other in option.keys)


def uncommented(conf: Path) -> list[str]:
    """What lacks a comment: files, and keys of files that are not shown as a whole."""
    lacking = []
    for group, each in options(conf).items():
        for option in each:
            if not option.comment:
                lacking.append(f"{group}/{option.name}.yaml: no comment in its first line says what it is")
            if group not in AS_A_WHOLE:
                missing = [key.name for key in described(conf, option) if not key.comment]
                lacking += [f"{group}/{option.name}.yaml: {name}: no comment beside it" for name in missing]
    return lacking


def markdown(conf: Path) -> str:
    """The reference of all groups."""
    return "\n\n".join(_group(conf, group, each) for group, each in options(conf).items())


def _group(conf: Path, group: str, each: list[Option]) -> str:
    return "\n\n".join([f"## `{group}`", *(_option(conf, option) for option in each)])


def _option(conf: Path, option: Option) -> str:
    parts = [f"### `{_choice(f'{option.group}/{option.name}')}`", escaped(option.comment)]
    if option.group in AS_A_WHOLE:
        body = [line for line in option.text.splitlines() if not line.startswith("#")]
        return "\n\n".join([*parts, *(["\n".join(["```yaml", *body, "```"])] if len(body) <= _MOST_LINES else [])])
    if option.starts_from:
        parts.append(f"Has the keys of {_code([_choice(place) for place in option.starts_from])}, too.")
    if option.sets:
        parts.append(f"Sets {_code(option.sets)}.")
    if option.classes:
        parts.append(f"Builds {_code(option.classes)}.")
    if keys := described(conf, option):
        parts.append(table([Key(f"{option.package}{key.name}", key.value, key.comment) for key in keys]))
    return "\n\n".join(part for part in parts if part)


def _choice(place: str) -> str:
    """A file as it is named on the page."""
    group, _, name = place.rpartition("/")
    return f"{group}/base" if name == "base" else f"{group}={name}"


def table(keys: list[Key]) -> str:
    """Keys with their defaults and comments."""
    rows = [f"| `{key.name}` | {_cell(key.value)} | {escaped(key.comment)} |" for key in keys]
    return "\n".join(["| key | default | |", "| --- | --- | --- |", *rows])


def _cell(value: str) -> str:
    return "`{}`".format(value.replace("|", "\\|")) if value else ""


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def escaped(text: str) -> str:
    """Plain text as Markdown; what stands in backticks stays."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<\[\]\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")
