"""Text from files and their names cannot control the terminal."""

import ast
from pathlib import Path

import pytest

from fkd.terminal import printable, say, show, tell

FKD = Path(__file__).parents[1] / "fkd"
FILES = sorted(
    path
    for path in FKD.rglob("*.py")
    # `fkd --help` answers without loading rich, and prints nothing but its own words and those of the command line
    if path not in (FKD / "terminal.py", FKD / "__main__.py") and "new_project" not in path.parts
)
HOSTILE = "a\x1b[2Jb\rc\x07d\u202ee\x9bf\udcffg"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FKD)))
def test_all_text_for_the_terminal_goes_through_one_module(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    of_rich = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich")
        for alias in node.names
        if alias.name in ("Console", "print")
    }
    for node in nodes:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "sys.stdout.write", "sys.stderr.write", *of_rich}, f"line {node.lineno}"


@pytest.mark.parametrize("write", [say, tell, show])
def test_control_characters_are_shown_and_not_obeyed(write, capsys: pytest.CaptureFixture[str]) -> None:
    write(HOSTILE)
    out, err = capsys.readouterr()
    assert not set("\x1b\r\x07\u202e\x9b\udcff") & set(out + err)
    for letter in "abcdefg":
        assert letter in out + err


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable("Zoë 顔\t3 %\n") == "Zoë 顔\t3 %\n"
    assert printable("\x1b[2J") == "\\x1b[2J"
