"""Atomic writes: what a killed process was writing goes with the next write into its folder, and nothing else does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fkd.io.atomic import scratch_folder, whole_file

KINDS = pytest.mark.parametrize("kind", ["whole_file", "scratch_folder"])


def writer(kind: str, path: Path) -> subprocess.Popen[bytes]:
    """A process in the middle of a write."""
    imported = "from pathlib import Path\nfrom fkd.io.atomic import *"
    code = f"{imported}\nwith {kind}(Path({str(path)!r})): print('in', flush=True), input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"in\n"
    return process


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@KINDS
def test_what_a_killed_process_was_writing_goes_with_the_next_write(kind: str, tmp_path: Path) -> None:
    with writer(kind, tmp_path / "a.json") as process:
        process.send_signal(signal.SIGKILL)
    (left,) = names(tmp_path)
    if kind == "scratch_folder":
        (tmp_path / left / "half").touch()
    mine = {"notes.tmp", ".a.tmp", ".a.12345678.txt", ".a.1234567g.tmp"}
    for name in mine:
        (tmp_path / name).touch()
    with whole_file(tmp_path / "b.json") as file:
        file.write(b"{}")
    assert names(tmp_path) == {"b.json", *mine}


@KINDS
def test_what_another_process_is_writing_stays(kind: str, tmp_path: Path) -> None:
    with writer(kind, tmp_path / "a.json") as process:
        with whole_file(tmp_path / "a.json") as file:
            file.write(b"mine")
        assert len(names(tmp_path)) == 2
        process.communicate(b"\n")
    assert process.returncode == 0
    assert names(tmp_path) == {"a.json"}


def test_a_pipe_or_link_with_the_name_of_a_leftover_stops_nothing(tmp_path: Path) -> None:
    """Neither is followed, nor is waited for."""
    (tmp_path / "deep" / "kept").mkdir(parents=True)
    os.mkfifo(tmp_path / ".a.00000000.tmp")
    (tmp_path / ".b.00000000.tmp").symlink_to(tmp_path / "deep")
    with scratch_folder(tmp_path / "c") as folder:
        assert folder.parent == tmp_path
    assert (tmp_path / "deep" / "kept").is_dir()
