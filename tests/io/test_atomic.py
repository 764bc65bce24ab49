"""Atomic writes: leftovers of killed processes, and what is said when the system refuses."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.atomic import refusal, scratch_folder, whole_file

KINDS = pytest.mark.parametrize("kind", ["whole_file", "scratch_folder"])


def writer(kind: str, path: Path) -> subprocess.Popen[bytes]:
    """A process in the middle of a write."""
    imported = "from pathlib import Path\nfrom fkd.io.atomic import *"
    code = f"{imported}\nwith {kind}(Path({str(path)!a})): print('in', flush=True), input()"
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
@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "x" + "ü" * 127, "\udcff" * 255, "two\nlines"])
def test_any_name_that_a_file_can_have_can_be_written(kind: str, name: str, tmp_path: Path) -> None:
    """The temporary name is no longer than a file's can be, valid UTF-8 if the name is, and found after a kill."""
    with writer(kind, tmp_path / name) as process:
        process.send_signal(signal.SIGKILL)
    (left,) = names(tmp_path)
    assert len(os.fsencode(left)) <= 255
    assert os.fsencode(left).decode("utf-8", "replace") == left or "\udcff" in name
    with whole_file(tmp_path / name) as file:
        file.write(b"{}")
    assert names(tmp_path) == {name}


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


def test_a_refused_write_is_named_by_its_path_though_a_library_hides_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full") as caught, whole_file(path) as file:  # noqa: PT012
        file.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 768 vs 662")  # noqa: B904 (as torch does)
    assert (caught.value.filename, caught.value.errno) == (str(path), errno.ENOSPC)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_other_errors_of_the_block_stay_what_they_are(tmp_path: Path) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied", "photo.png")
    for error, cause in ((ValueError("1"), None), (UserError("photo.png: cannot be read"), denied)):
        with pytest.raises(type(error)) as caught, whole_file(tmp_path / "file"):
            raise error from cause
        assert caught.value is error
    assert not list(tmp_path.iterdir())


def test_a_removed_folder_and_a_missing_file_differ(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "file").read_bytes()
    assert refusal(caught.value) is None  # nothing was to be written
    with pytest.raises(FileNotFoundError, match="its folder is gone"), whole_file(tmp_path / "folder/file"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
def test_a_pipe_in_the_place_of_a_lock_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    imported = "from pathlib import Path\nfrom fkd.io.atomic import is_locked"
    code = f"{imported}\nprint(is_locked(Path({str(tmp_path)!r}, '.lock')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"False\n"
