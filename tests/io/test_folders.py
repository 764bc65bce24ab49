from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.folders import make_folder, unless_wrong


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_folder_that_cannot_be_written_is_said() -> None:
    Path("file").write_bytes(b"content")
    make_folder(Path("new/deep"))
    assert list(Path("new/deep").iterdir()) == []
    for folder in ("file", "file/below"):
        with pytest.raises(UserError, match=rf"{folder}: expected a folder that can be written to"):
            make_folder(Path(folder))


@pytest.mark.parametrize(
    ("there", "written", "left"),
    [
        ([], [], []),
        (["a"], [], ["a"]),
        (["a/b/c"], [], ["a", "a/b", "a/b/c"]),
        ([], ["a/b/c/x"], ["a", "a/b", "a/b/c", "a/b/c/x"]),
        ([], ["a/x"], ["a", "a/x"]),
    ],
)
def test_if_a_block_is_wrong_what_is_new_and_empty_goes(there: list[str], written: list[str], left: list[str]) -> None:
    for folder in there:
        Path(folder).mkdir(parents=True)

    def block() -> None:
        with unless_wrong(Path("a/b/c")):
            assert Path("a/b/c").is_dir()
            for name in written:
                Path(name).write_bytes(b"")
            raise UserError("wrong")

    with pytest.raises(UserError, match="wrong"):
        block()
    assert sorted(path.as_posix() for path in Path().rglob("*")) == left
    with unless_wrong(Path("d/e")):
        pass
    assert Path("d/e").is_dir()
