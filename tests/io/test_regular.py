"""Files that are read: regular ones are opened, all others are one line, without waiting."""

import os
import socket
from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.regular import regular_file


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0content")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("a", "link"):
        with regular_file(tmp_path / name, "a list") as file:
            assert file.read() == b"\0content"


def test_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("link").symlink_to("nothing")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name, found in {
            "pipe": "a device, a pipe or a socket",
            "socket": "a device, a pipe or a socket",
            "/dev/zero": "a device, a pipe or a socket",
            "folder": "a folder",
            "link": "a link to nothing",
            "missing": "no such file",
            "a\0b": "a file that cannot be read (embedded null byte)",
            "x" * 300: "a file that cannot be read (File name too long)",
        }.items():
            with pytest.raises(UserError) as caught:
                regular_file(name, "a list", "give another one")
            assert str(caught.value) == f"{name}: expected a list, found {found}; give another one"


def test_the_error_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^weights=x: expected a checkpoint, found no such file$"):
        regular_file(tmp_path / "x", "a checkpoint", where="weights=x")
