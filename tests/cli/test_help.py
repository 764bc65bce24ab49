"""What --help prints: all that can be chosen, each in its place, at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from fkd import compose
from fkd.cli.command import CONF
from fkd.cli.help import help_text

SCRIPTS = sorted(path.stem for path in CONF.glob("*.yaml") if (CONF.parent / "scripts" / f"{path.stem}.py").exists())


def section(text: str, title: str) -> list[str]:
    """The lines below a title."""
    parts = [part.splitlines() for part in text.split("\n\n")]
    return next((lines[1:] for lines in parts if lines[0] == title), [])


def test_it_is_there_for_every_script() -> None:
    assert {"train", "evaluate", "predict"} <= set(SCRIPTS)
    for name in SCRIPTS:
        text = help_text(CONF, name)
        assert text.startswith((f"usage: fkd {name} ", f"usage: python scripts/{name}.py "))
        assert section(text, "examples"), name


@pytest.mark.parametrize("group", ["experiment", "sweep", "debug"])
def test_every_recipe_has_a_line_that_says_what_it_is(group: str) -> None:
    described = dict(line.split(maxsplit=1) for line in section(help_text(CONF, "train"), f"{group}="))
    files = {str(p.relative_to(CONF / group).with_suffix("")) for p in (CONF / group).rglob("*.yaml")}
    assert described.keys() == {name for name in files if not name.endswith("base")}
    assert all(line[0].isupper() and len(line) < 110 for line in described.values())


def test_groups_show_their_default_first_and_every_option() -> None:
    groups = dict(line.split(maxsplit=1) for line in section(help_text(CONF, "train"), GROUPS))
    for group, line in groups.items():
        found = line.split(" | ")
        assert sorted(found) == sorted(p.stem for p in (CONF / group).glob("*.yaml") if p.stem != "base")
    assert (groups["model"].split()[0], groups["scheduler"].split()[0]) == ("compact", "onecycle")
    assert not {"experiment", "hydra"} & groups.keys()


GROUPS = "groups, each with its default first"


def test_a_script_shows_its_own_groups_and_those_of_what_it_is_made_of() -> None:
    text = help_text(CONF, "filter")
    assert [line.split()[0] for line in section(text, GROUPS)] == ["detector", "filter"]
    keys = {line.split()[0] for line in section(text, "keys")}
    assert {"ckpt=null", "input=...", "smooth=false", "one_euro.beta=30.0"} <= keys
    assert "experiment" not in text


def test_the_keys_of_options_that_are_given_are_listed(tmp_path: Path) -> None:
    own = tmp_path / "conf/data/own.yaml"
    own.parent.mkdir(parents=True)
    own.write_text('# Mine.\ndefaults: [csv, _self_]\ncolumns: ["{name}.x", "{name}.y"]  # of my points\n')
    for option, columns in (("csv", "data.columns=1"), ("own", 'data.columns=["{name}.x","{name}.y"]')):
        text = help_text(CONF, "train", [tmp_path / "conf"], [f"data={option}", "--help", "seed=1", "model=none"])
        keys = {line.split()[0] for line in section(text, f"data={option}")}
        assert {"data.image_column=0", "data.subject_column=null", "data.val_share=0.15", columns} <= keys
        assert not section(text, "model=none")
    assert not section(help_text(CONF, "train"), "data=csv")


def test_every_option_shows_its_own_values() -> None:
    """Against Hydra's own composition."""
    for group in ("data", "model", "extra_train", "loss", "detector"):
        for option in sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "base"):
            text = help_text(CONF, "train", words=[f"{group}={option}"])
            rows = [line.split("  ")[1] for line in section(text, f"{group}={option}")]
            keys = [row.partition("=")[0] for row in rows]
            assert len(keys) == len(set(keys)), option
    shown = {line.split()[0] for line in section(help_text(CONF, "train", words=["data=wflw"]), "data=wflw")}
    wflw = compose(["data=wflw"]).data
    assert {f"data.root={wflw.root}", f"data.train={wflw.train}"} <= shown


def test_own_files_are_read(tmp_path: Path) -> None:
    """Against a tree made here."""
    for name, content in {
        "scripts/fit.py": '"""Fits.\n\npython scripts/fit.py a=1\nnot an example\n"""\n',
        "conf/fit.yaml": "# Fit.\ndefaults:\n  - _self_\n  - net: b\n  - recipe: null\n  - hydra: default\n"
        "steps: 3  # of what\nquiet: 1\n",
        "conf/net/a.yaml": "x: 1\n",
        "conf/net/b.yaml": "x: 2\n",
        "conf/net/base.yaml": "x: 0\n",
        "conf/recipe/deep/one.yaml": "# @package _global_\n# Says so.\n# And more.\nx: 1\n",
        "conf/recipe/two.yaml": "# @package _global_\nx: 1  # no description\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    text = help_text(tmp_path / "conf", "fit")
    assert text.split("\n\n")[1] == "Fits."
    assert section(text, "examples") == ["  python scripts/fit.py a=1"]
    assert section(text, GROUPS) == ["  net  b | a"]
    assert section(text, "recipe=") == ["  deep/one  Says so.", "  two"]
    assert section(text, "keys") == ["  steps=3  of what"]


def test_it_needs_neither_torch_nor_hydra() -> None:
    code = (
        "import sys; from pathlib import Path; from fkd.cli.help import help_text; "
        f"help_text(Path({str(CONF)!r}), 'train'); sys.exit(bool({{'torch', 'hydra'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
