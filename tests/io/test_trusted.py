"""Which classes of the user's own package a file may name."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

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


def test_threads_do_not_trust_for_each_other(lab: str) -> None:
    inside, go_on = Event(), Event()

    def other() -> tuple[str, ...]:
        with trusted.trusting(["other"]):
            inside.set()
            go_on.wait(10)
            return trusted.packages()

    with ThreadPoolExecutor(1) as pool:
        with trusted.trusting([lab]):
            found = pool.submit(other)
            inside.wait(10)
            assert trusted.packages() == (lab,)
        go_on.set()
        assert found.result() == ("other",)
    assert trusted.packages() == ()


def test_one_text_is_not_taken_for_its_letters() -> None:
    message = r"trusted: expected a list of names, found one text; give \['mylab'\]"
    with pytest.raises(ValueError, match=message), trusted.trusting("mylab"):
        pass


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
