"""Each command, override and block of the pages is read as a shell, Hydra and Python would."""

import ast
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

import fkd
from fkd.__main__ import summaries
from fkd.commands.new import write_project
from fkd.config import project
from fkd.types import Face
from tests.conftest import PROJECT
from tests.docs.pages import PAGES, TEXT, blocks, commands, lines, unfenced, words

LAB = "pagelab"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the files that the pages show."""
    folder = tmp_path_factory.mktemp("lab")
    write_project(folder, LAB)
    for language in ("yaml", "python"):
        for text in blocks(language):
            if name := re.match(r"# ((?:conf|mylab)/\S+)\n", text):
                path = folder / LAB / name[1].replace("mylab", LAB)
                path.parent.mkdir(exist_ok=True, parents=True)
                path.write_text(text.replace("mylab", LAB))
    return folder / LAB


@pytest.fixture
def in_lab(lab: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(lab)
    yield lab
    project.use([])


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_can_read_every_block() -> None:
    done = subprocess.run(["bash", "-n"], input="".join(blocks("bash")), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_comment_stands_behind_a_command() -> None:
    """Other shells take it for words of the command."""
    for line in lines():
        assert line.lstrip().startswith("#") or shlex.split(line) == shlex.split(line, comments=True), line


def name(command: str) -> str:
    return re.split(r"[ /.]+", command)[1 if command.startswith("fkd ") else 2]


def overrides(command: str) -> list[str]:
    return [word for word in words(command) if "=" in word and not word.startswith("-")]


def telling() -> list[str]:
    """The commands with a word that no longer one has; the others would take time and tell nothing new."""
    found, seen = [], set[tuple[str, str]]()
    for command in sorted(commands(), key=lambda command: -len(overrides(command))):
        new = {(name(command), word) for word in overrides(command)} - seen
        if new and not any(word.startswith("resume=") for word in overrides(command)):
            found.append(command)
            seen |= new
    return found


def test_hydra_can_read_every_command() -> None:
    for command in commands():
        OverridesParser.create().parse_overrides(overrides(command))


@pytest.mark.parametrize("command", telling())
def test_every_command_composes(command: str, in_lab: Path) -> None:
    """Its groups, options and keys exist; of a sweep the first values are taken."""
    given = overrides(command)
    parsed = OverridesParser.create().parse_overrides(given)
    fkd.compose([first(override, word) for override, word in zip(parsed, given, strict=True)], name(command))


def first(override: Override, word: str) -> str:
    """An override with the first of its values; a search draws them, so that of it nothing is left but the key."""
    if not override.is_sweep_override():
        return word
    if override.is_interval_sweep():
        return f"{override.key_or_group}=1"
    return f"{override.key_or_group}={next(override.sweep_string_iterator())}"


@pytest.mark.parametrize("text", sorted({*re.findall(r"`('?[a-z_./@]+=[^` ][^`]*)`", TEXT)}))
def test_hydra_can_read_every_override_that_is_named(text: str) -> None:
    words = [word for word in shlex.split(text) if "=" in word and "..." not in word]
    OverridesParser.create().parse_overrides(words)


def test_every_command_and_script_named_exists() -> None:
    for script in set(re.findall(r"scripts/\w+\.py", TEXT)):
        assert Path(PROJECT / script).is_file(), script
    assert {line.split()[1] for line in commands() if line.startswith("fkd ")} <= summaries().keys()


def test_what_python_is_given_in_a_command_is_a_file() -> None:
    given = re.findall(r"(?:^|&& )\S*python3? (?!-)(\S+)", "\n".join(lines()), re.M)
    assert "scripts/train.py" in given
    assert [name for name in given if not (PROJECT / name).is_file()] == []


@pytest.mark.parametrize("name", PAGES)
def test_python_and_yaml_can_be_read(name: str) -> None:
    for text in blocks("python", PAGES[name]):
        ast.parse(text)
    for text in blocks("yaml", PAGES[name]):
        yaml.safe_load(text)


def test_what_python_blocks_use_of_fkd_exists() -> None:
    text = "\n".join(blocks("python"))
    names = set(re.findall(r"\bfkd\.(\w+)\(", text))
    assert {"load", "train", "evaluate", "compare"} <= names <= set(fkd.__all__)
    assert set(re.findall(r"\bface\.(\w+)", text)) <= {*dir(Face), *Face.__annotations__}


def dotted(content: object, start: str) -> set[str]:
    """The keys of a config, with a group's before them."""
    if not isinstance(content, dict):
        return set()
    return {f"{start}{key}" for key in content}.union(*(dotted(v, f"{start}{k}.") for k, v in content.items()))


def test_each_key_that_is_named_is_in_a_config() -> None:
    groups, known = (
        "model data loss optimizer scheduler augmentation callbacks crop detector distill filter trainer",
        set[str](),
    )
    for path in (PROJECT / "conf").rglob("*.yaml"):
        text, group = path.read_text(), path.relative_to(PROJECT / "conf").parts[0]
        known |= dotted(yaml.safe_load(text), "" if "@package _global_" in text else f"{group}.")
        known |= dotted(yaml.safe_load(text), "data.") if group == "data" else set()
    named = set(re.findall(rf"`((?:{groups.replace(' ', '|')})\.[a-z_.0-9]+)(?:=[^`]*)?`", unfenced(TEXT)))
    assert len(named) > 30
    assert named <= known
