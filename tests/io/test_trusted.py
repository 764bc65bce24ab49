"""Which classes of the user's own package a file may name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fkd.io import trusted


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with a net, an alias of another class, and a script that leaves a trace when it is imported."""
    package = f"lab_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "deep/__init__.py").write_text("")
    (folder / "nets.py").write_text("from pathlib import Path as Other\nclass Net:\n    pass\n")
    (folder / "deep/more.py").write_text("class Deep:\n    pass\n")
    (folder / "script.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\nNet = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


def test_classes_of_a_trusted_package_are_found(lab: str) -> None:
    assert trusted.own_class(f"{lab}.nets.Net") is None
    with trusted.trusting([lab]):
        found = trusted.own_class(f"{lab}.nets.Net"), trusted.own_class(f"{lab}.deep.more.Deep")
        assert [kind.__name__ for kind in found if kind] == ["Net", "Deep"]
    assert trusted.packages() == ()


@pytest.mark.parametrize(
    "target",
    [
        "{}.script.Net",
        "{}.nets.Other",
        "{}.nets.Missing",
        "{}.missing.Net",
        "{}.nets.Net.mro",
        "{}.nets.deep.Net",
        "{}x.nets.Net",
        "{}",
        "os.system",
        "Net",
        "",
    ],
)
def test_nothing_else_is_found_or_imported(lab: str, tmp_path: Path, target: str) -> None:
    with trusted.trusting([lab]):
        assert trusted.own_class(target.format(lab)) is None
    assert not (tmp_path / "trace").exists()
    assert f"{lab}.script" not in sys.modules
