"""What files hold and are called cannot control a terminal."""

import ast
import builtins
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from fkd import terminal
from fkd.terminal import Console, printable

ROOT = Path(__file__).parents[1]
HOSTILE = "a\x1b]0;x\x07\r\x9b2J\u202eb\u2066c\ud800"
ESCAPED = r"a\x1b]0;x\x07\x0d\x9b2J\u202eb\u2066c\ud800".replace(r"\x0d", r"\r")


def test_control_characters_are_shown_and_others_stay() -> None:
    assert printable(HOSTILE) == ESCAPED
    for code in [*range(0x3000), 0xD800, 0xDFFF, 0xE000, 0xFFFD, 0x10FFFF]:
        text = chr(code)
        kept = printable(text) == text
        is_control = code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000
        is_bidi = text in "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        assert kept == (text in "\t\n" or not (is_control or is_bidi)), hex(code)


def test_all_output_goes_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("", HOSTILE, title=HOSTILE)
    table.add_row(Text(HOSTILE, "bold"), HOSTILE)
    terminal.show(HOSTILE, Text(HOSTILE), table, terminal.labelled_lines({"x": HOSTILE}))
    terminal.tell(HOSTILE)
    terminal.tell(HOSTILE, is_error=True)
    terminal.say(HOSTILE)
    with terminal.progress(HOSTILE, 2) as advance:
        advance()
    with terminal.progress_in_bytes(HOSTILE, 2) as advance_bytes:
        advance_bytes(2)
    out, err = capsys.readouterr()
    assert out.count(r"\u202e") >= 5
    assert err.count(r"\x1b") >= 4
    for text in (out, err):
        assert printable(text) == text


def test_colours_stay() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=40)
    console.print(Text("red", "red"), "[bold]bold[/bold]")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[31mred" in text
    assert "\x1b[1mbold" in text


def test_a_notebook_gets_the_same_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    """Rich would display HTML there, whatever the console's file is, and want ipywidgets for a bar."""
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setenv("FORCE_COLOR", "1")  # as its kernel does
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    console = Console(file=io.StringIO())
    console.print("into the file")
    assert console.file.getvalue() == "into the file\n"  # type: ignore[attr-defined]
    terminal.show("one line")
    with terminal.progress("drawing", 2) as advance:
        advance(2)
    out, err = capsys.readouterr()
    assert out == "one line\n"
    assert err.startswith("drawing")
    assert err.count("\n") == 1
    assert "2/2" in err
    assert [str(warning.message) for warning in recwarn] == []


def test_no_other_place_prints() -> None:
    """Own texts and those of the own command line aside: `__main__` has no others, and a new project is the user's."""
    found = []
    files = [*(ROOT / "fkd").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")]
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        if name in ("fkd/terminal.py", "fkd/__main__.py") or "new_project" in name:
            continue
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            imported = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
            if isinstance(node, ast.ImportFrom) and node.module in ("rich", "rich.console", "rich.progress", "html"):
                found += [f"{name}: {each}" for each in imported & {"track", "print", "escape"}]
            if not isinstance(node, ast.Call):
                continue
            call = ast.unparse(node.func)
            if call.endswith("Console") and "from fkd.terminal import Console" not in source:
                found.append(f"{name}:{node.lineno} {call}")
            if call in ("print", "sys.stdout.write", "sys.stderr.write"):
                found.append(f"{name}:{node.lineno} {call}")
            if call in [f"log.{level}" for level in ("debug", "info", "warning", "error")] and any(
                isinstance(a, ast.JoinedStr | ast.BinOp | ast.Name) for a in node.args
            ):
                found.append(f"{name}:{node.lineno} {call}")
    assert found == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_line_is_written_at_once_with_its_end(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what another thread writes in between would join it."""
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, stream, Stream())
    terminal.tell("two\nlines", is_error=stream == "stderr")
    if stream == "stderr":
        terminal.say("an error")
    else:
        terminal.show("a text")
    assert written == ["two\nlines\n", "error: an error\n" if stream == "stderr" else "a text\n"]


def test_what_nobody_reads_is_no_error() -> None:
    """As after `| head`: the reader has gone."""
    code = "from fkd.terminal import tell\nfor _ in range(10): tell('x' * 100_000)\ntell('y', is_error=True)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b"y\n"
    assert process.wait() == 0


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_a_terminal_that_lacks_a_character_gets_an_escape(encoding: str) -> None:
    code = """
from rich.table import Table
from rich.text import Text
from fkd import terminal
name = "ä 中 \\udcff.jpg"
table = Table("", name, title=name)
table.add_row(Text(name), name)
terminal.show(name, table, terminal.labelled_lines({"x": name}))
terminal.tell(name)
terminal.say(name)
with terminal.progress(name, 2) as advance:
    advance()
"""
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=False)
    out, err = (text.decode(encoding.partition(":")[0]) for text in (done.stdout, done.stderr))
    assert done.returncode == 0, err
    name = r"ä \u4e2d \udcff.jpg" if encoding == "latin-1" else r"\xe4 \u4e2d \udcff.jpg"
    assert out.count(name) == 4
    assert out.count(name.rpartition(" ")[2]) == 7  # the table's cells are wrapped
    assert f"error: {name}" in err
