import json
from contextlib import suppress
from pathlib import Path

import pytest

from fkd.errors import Diverged, UserError
from fkd.report import Result, write_json


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "done"),
        (ValueError("a\nb"), "failed: a b"),
        (Diverged("loss is nan"), "stopped: loss is nan"),
        (KeyboardInterrupt(), "stopped: interrupted"),
        (SystemExit(1), "stopped: interrupted"),
        (RuntimeError(), "failed: RuntimeError"),
    ],
)
def test_a_result_is_written_whatever_happens(tmp_path: Path, error: BaseException | None, status: str) -> None:
    with suppress(BaseException), Result(tmp_path, ["model=simple"]) as result:
        result.values["parameters"] = 7
        if error is not None:
            raise error
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["status"] == status
    assert (written["overrides"], written["parameters"]) == (["model=simple"], 7)
    assert written["seconds"] >= 0


def test_json_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"x": 1})
    write_json(tmp_path / "deep" / "a.json", {"x": 2})
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"x": 2}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"a\.json: cannot be written"):
        write_json(tmp_path / "file" / "a.json", {})
