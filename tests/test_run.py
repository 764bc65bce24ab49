import json
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from fkd.errors import BAD_OBJECTIVE, Diverged, Interrupted, Pruned, UserError
from fkd.run import Run, write_json


def run(folder: Path, *overrides: str) -> Run:
    return Run(folder, overrides, {"model": "simple"})


def left(folder: Path, error: BaseException | None, *overrides: str) -> None:
    """What a run leaves that ended so."""
    with suppress(BaseException), run(folder, *overrides):
        if error is not None:
            raise error


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
    with suppress(BaseException), run(tmp_path, "model=simple") as result:
        assert json.loads((tmp_path / "result.json").read_text())["status"] == "running"
        result.values["parameters"] = 7
        if error is not None:
            raise error
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["status"] == status
    assert (written["overrides"], written["parameters"]) == (["model=simple"], 7)
    assert written["seconds"] >= 0


@pytest.mark.parametrize(
    ("error", "over"),
    [
        (None, True),
        (Diverged("epoch 3: train/loss is nan"), True),
        (Pruned("pruned at epoch 2"), True),
        (Interrupted("interrupted by SIGTERM"), False),
        (SystemExit(1), False),
        (RuntimeError("out of memory"), False),
    ],
    ids=repr,
)
def test_what_would_end_the_same_way_again_is_over(tmp_path: Path, error: BaseException | None, over: bool) -> None:
    left(tmp_path, error)
    assert run(tmp_path).is_over == over
    assert run(tmp_path).objective == BAD_OBJECTIVE  # none of them has written one


def test_a_run_begins_where_its_last_checkpoint_is(tmp_path: Path) -> None:
    assert run(tmp_path).checkpoint(None, sweep=True) is None
    left(tmp_path, SystemExit(1), "seed=1")
    assert run(tmp_path, "seed=1").checkpoint("last", sweep=False) is None  # it was cut before there was one
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.write_bytes(b"")
    assert run(tmp_path, "seed=1").checkpoint("last", sweep=False) == last
    assert run(tmp_path, "seed=1").checkpoint(None, sweep=True) == last
    assert run(tmp_path, "seed=1").checkpoint(None, sweep=False) is None  # the same folder, used anew
    assert run(tmp_path, "seed=1").checkpoint("other.ckpt", sweep=False) == Path("other.ckpt")


def test_the_time_before_a_cut_is_counted(tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.write_bytes(b"")
    write_json(tmp_path / "result.json", {"status": "stopped: interrupted", "overrides": [], "seconds": 1000.0})
    again = run(tmp_path)
    again.checkpoint("last", sweep=False)
    with again:
        pass
    assert 1000 <= json.loads((tmp_path / "result.json").read_text())["seconds"] < 1010
    begun = (
        datetime.fromtimestamp(last.stat().st_mtime - 500).astimezone().isoformat()
    )  # and killed after its last save
    write_json(tmp_path / "result.json", {"status": "running", "overrides": [], "seconds": 1000.0, "started": begun})
    killed = run(tmp_path)
    killed.checkpoint("last", sweep=False)
    assert killed.values["seconds"] == pytest.approx(1500, abs=1)


def test_there_must_be_a_run_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ckpt_path=last: expected a run that was begun, found none in .*resume=DIR"):
        run(tmp_path).checkpoint("last", sweep=False)


def test_another_sweep_does_not_write_over_a_job(tmp_path: Path) -> None:
    left(tmp_path, None, "seed=1")
    with pytest.raises(UserError, match=r"holds a job with seed=1, found seed=2; give another folder"):
        run(tmp_path, "seed=2").checkpoint(None, sweep=True)


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".last.ckpt.12ab.tmp").write_bytes(b"half")
    left(tmp_path, None)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    """The other one holds the lock until it ends, however it ends."""
    hold = f"from fkd.run import Run\nwith Run({str(tmp_path)!r}, [], {{}}): print('in', flush=True), input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(UserError, match="expected no other process to train here"), run(tmp_path):
            pass
        other.kill()
    left(tmp_path, None)
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "done"


def test_json_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"x": 1})
    write_json(tmp_path / "deep" / "a.json", {"x": 2})
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"x": 2}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"a\.json: cannot be written"):
        write_json(tmp_path / "file" / "a.json", {})
