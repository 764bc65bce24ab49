"""Atomic writes: what is said when the system refuses."""

import errno
from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.atomic import refusal, whole_file


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
