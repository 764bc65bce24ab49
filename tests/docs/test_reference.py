"""The reference: each option, key and public function is explained, and what lacks words is named."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fkd
from docs import extension
from docs.extension import checks, commands, configs
from fkd.dataset_report.checks.finding import SEVERITIES
from tests.conftest import PROJECT
from tests.docs.pages import PAGES

CONF, COMMANDS = PROJECT / "conf", PROJECT / "fkd/commands"
DOCUMENTED = re.findall(r"^\.\. auto(\w+):: (\S+)$", PAGES["docs/reference/python.md"], re.M)


def test_every_option_and_key_has_a_comment() -> None:
    assert configs.uncommented(CONF) + commands.uncommented(CONF, COMMANDS) == []


def test_what_lacks_a_comment_is_named(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss/mine.yaml").write_text("_target_: lab.Mine\nwidth: 3  # pixels\ndepth: 4\nunit: ${model.unit}\n")
    (tmp_path / "train.yaml").write_text("seed: 0  # of all\nrows: 3\n")
    (tmp_path / "train.py").write_text("")
    assert configs.uncommented(tmp_path) == [
        "loss/mine.yaml: no comment in its first line says what it is",
        "loss/mine.yaml: depth: no comment beside it",
    ]
    assert commands.uncommented(tmp_path, tmp_path) == ["train.yaml: rows: no comment beside it"]


def test_the_reference_has_every_option_and_key_with_its_default() -> None:
    text = configs.markdown(CONF)
    for path in CONF.rglob("*/*.yaml"):
        group, name = path.relative_to(CONF).parent.as_posix(), path.stem
        if path.stem not in ("base", "default", "tool") and not group.startswith("experiment"):
            assert f"### `{group}={name}`" in text
    assert "| `model.net.dropout` | `0.5` | factor on the published 0.25 and 0.2" in text
    assert "| `hydra.launcher.timeout_min` | `240` | minutes until a job saves and is queued again |" in text
    assert "| `data.batch_size` | `64` | faces in a step |" in text
    assert "Has the keys of `data=coco`, too." in text
    assert "Sets `schema=wflw98`." in text


def test_a_comment_cannot_break_a_table() -> None:
    row = configs.table([configs.Key("a", "x|y", "one | two *three* `four|`")]).splitlines()[-1]
    assert row == r"| `a` | `x\|y` | one \| two \*three\* `four\|` |"


def test_the_reference_has_every_command() -> None:
    text = commands.markdown(CONF, COMMANDS)
    assert set(re.findall(r"^## `fkd (\w+)`$", text, re.M)) == {p.stem for p in COMMANDS.glob("[a-z]*.py")}
    assert "| `max_pixels` | `100_000_000` |" in text.split("## `fkd predict`")[1], "of a config that it includes"


def test_the_table_of_checks_has_every_kind_of_finding() -> None:
    found = checks.kinds(PROJECT / "fkd/dataset_report/checks")
    sources = [path.read_text() for path in (PROJECT / "fkd/dataset_report/checks").glob("*.py")]
    assert len(found) == sum(text.count(" = Kind(") for text in sources)
    assert {severity for severity, *_ in found} == set(SEVERITIES)


def test_pages_are_filled_with_parts_that_exist() -> None:
    asked = [name for text in PAGES.values() for name in re.findall(r"^<!-- made of: (\w+) -->$", text, re.M)]
    assert sorted(asked) == sorted(extension.PARTS)
    assert "made of:" not in extension.filled("\n".join(f"<!-- made of: {name} -->" for name in asked))


def resolved(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def without_docstring(name: str, thing: Any) -> list[str]:
    """The public names of a function or class of the reference that have no docstring."""
    members = vars(thing).items() if inspect.isclass(thing) else ()
    public = {f"{name}.{key}": value for key, value in members if not key.startswith("_") and is_function(value)}
    return [key for key, value in {name: thing, **public}.items() if not inspect.getdoc(value)]


def is_function(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)


@pytest.mark.parametrize(("kind", "name"), DOCUMENTED)
def test_every_public_function_has_a_docstring(kind: str, name: str) -> None:
    assert without_docstring(name, resolved(name)) == []


def test_a_function_without_a_docstring_is_named() -> None:
    class Bare:
        """A class."""

        def speaks(self) -> None:
            """Has one."""

        def is_silent(self) -> None: ...

    assert without_docstring("lab.Bare", Bare) == ["lab.Bare.is_silent"]


def test_what_fkd_gives_is_in_the_reference() -> None:
    assert {f"fkd.{name}" for name in fkd.__all__} <= {name for _, name in DOCUMENTED}
