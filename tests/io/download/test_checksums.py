"""Lists of checksums: what sha256sum writes is read, what is written it reads, and every difference is named."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.download import checksums

FILES = {"a.csv": b"1", "training/Ä b.png": b"22", "training/deep/c": b""}
needs_tool = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum of the GNU coreutils")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    return tmp_path / "set"


def test_a_folder_has_the_checksums_of_its_files_and_not_of_their_list(root: Path) -> None:
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert checksums.of_folder(root) == expected
    checksums.write(root / checksums.NAME, expected)
    assert checksums.of_folder(root) == checksums.read(root / checksums.NAME) == expected


@needs_tool
def test_the_list_is_that_of_sha256sum(root: Path) -> None:
    checksums.write(root / checksums.NAME, checksums.of_folder(root))
    check = ["sha256sum", "--check", "--strict", checksums.NAME]
    assert subprocess.run(check, cwd=root, capture_output=True, check=False).returncode == 0
    made = subprocess.run(["sha256sum", *sorted(FILES)], cwd=root, capture_output=True, check=True).stdout
    assert (root / checksums.NAME).read_bytes() == made
    for option in ("--binary", "--text"):
        names = ["./a.csv", *sorted(FILES)[1:]]
        made = subprocess.run(["sha256sum", option, *names], cwd=root, capture_output=True, check=True).stdout
        (root / checksums.NAME).write_bytes(made)
        assert checksums.read(root / checksums.NAME) == checksums.of_folder(root)


def test_what_changed_is_missing_or_extra_is_named(root: Path) -> None:
    expected = checksums.of_folder(root)
    checksums.compare(expected, checksums.of_folder(root), "data.root=x", "mend it")
    (root / "a.csv").write_bytes(b"2")
    (root / "training/deep/c").rename(root / "training/d")
    for number in range(9):
        (root / f"x{number}").touch()
    with pytest.raises(UserError) as caught:
        checksums.compare(expected, checksums.of_folder(root), "data.root=x", "mend it")
    assert str(caught.value) == (
        "data.root=x: expected 3 files with their checksums, found 1 changed (a.csv); 1 missing (training/deep/c); "
        "10 extra (training/d, x0, x1, x2, x3, ...); mend it"
    )


@pytest.mark.parametrize("line", ["0" * 63 + "  a", "0" * 64 + " a", "0" * 64, "g" * 64 + "  a", "MD5 (a) = 0"])
def test_what_is_no_checksum_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list"
    path.write_text(f"{'0' * 64}  fine\n{line}\n")
    with pytest.raises(UserError, match=f"{path} line 2: expected 64 digits"):
        checksums.read(path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("gone", "binary"):
        with pytest.raises(UserError, match=f"{name}: expected checksums"):
            checksums.read(tmp_path / name)
