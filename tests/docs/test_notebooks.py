"""The notebooks: the build executes every cell of them; here they are only read."""

import ast
import re
import tomllib
from importlib import import_module

import pytest
import yaml

import fkd
from tests.conftest import PROJECT
from tests.docs.pages import PAGES, cells

NAMES = sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs/notebooks").iterdir())
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
REAL = '["data=udacity", "data.root=DIR"]'
READERS = {"py": ast.parse, "yaml": yaml.safe_load, "toml": tomllib.loads}


def settings() -> dict[str, object]:
    """The names in docs/conf.py that have plain values."""
    found: dict[str, object] = {}
    for node in ast.parse((PROJECT / "docs/conf.py").read_text()).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = node.value.elts if isinstance(target, ast.Tuple) else [node.value]  # type: ignore[attr-defined]
                for key, value in zip(names, values, strict=True):
                    if isinstance(key, ast.Name) and isinstance(value, ast.Constant):
                        found[key.id] = value.value
    return found


def test_the_build_executes_every_notebook_anew_and_fails_with_it() -> None:
    found = settings()
    assert (found["nb_execution_mode"], found["nb_execution_raise_on_error"]) == ("force", True)
    assert found["nb_execution_in_temp"] is True, "nothing is left in the checkout"
    assert "nb_execution_excludepatterns" not in found
    assert re.search(r"sphinx -W .* docs outputs/docs\n", (PROJECT / ".ci/run").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_text_that_is_listed_and_no_cell_is_left_out(name: str) -> None:
    assert PAGES[name].startswith(HEADER), "without it, or with settings of its own, its cells are not executed"
    assert f"\n{name.removeprefix('docs/').removesuffix('.md')}\n" in PAGES["docs/index.md"].split("```{toctree}", 1)[1]
    options = {option for given, _ in cells(PAGES[name]) for option in given}
    assert options <= {":tags: [hide-output]", ":tags: [remove-stdout]"}
    assert len(cells(PAGES[name])) == PAGES[name].count("{code-cell}") >= 5


@pytest.mark.parametrize("name", NAMES)
def test_cells_can_be_read_and_what_they_import_exists(name: str) -> None:
    for _, content in cells(PAGES[name]):
        file = re.match(r"%%writefile \S+\.(\w+)\n", content)
        if file is not None:
            READERS[file[1]](content[file.end() :])
            continue
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fkd"):
                module = import_module(str(node.module))
                assert {alias.name for alias in node.names} <= set(dir(module)), node.module
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fkd":
                assert node.attr in fkd.__all__


@pytest.mark.parametrize("name", NAMES)
def test_one_line_changes_drawn_faces_to_real_ones(name: str) -> None:
    (_, first), *others = cells(PAGES[name])
    assert first.splitlines()[-1].startswith('data = ["data=synthetic", ')
    assert not any(re.search(r"^data = |data=", content, re.M) for _, content in others)
    assert f"For real faces change the last line to `data = {REAL}`" in PAGES[name]
    for command in ("train", "evaluate", "explore"):
        assert fkd.compose(ast.literal_eval(REAL), command).data.name == "udacity"
