import json
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from fkd.errors import BAD_OBJECTIVE, Diverged, Interrupted, Pruned, UserError
from fkd.training.runs.run_folder import Run, write_json


def run(folder: Path, *overrides: str, ckpt_path: str | None = None) -> Run:
    return Run(folder, overrides, {"model": "simple"}, ckpt_path)


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


@pytest.fixture
def last(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("ckpt_path", [None, "last"])
def test_a_run_goes_on_where_its_last_checkpoint_is(tmp_path: Path, last: Path, ckpt_path: str | None) -> None:
    left(tmp_path, SystemExit(1), "seed=1")
    assert run(tmp_path, "seed=1", ckpt_path=ckpt_path).start == last
    last.unlink()  # it was cut before there was one
    assert run(tmp_path, "seed=1", ckpt_path=ckpt_path).start is None


def test_a_run_that_began_with_another_ones_weights_does_so_again(tmp_path: Path, last: Path) -> None:
    with suppress(SystemExit), run(tmp_path, "seed=1", ckpt_path="other.ckpt") as resumed:
        assert resumed.start == Path("other.ckpt")
        raise SystemExit(1)
    for ckpt_path in ("other.ckpt", "last"):
        assert run(tmp_path, "seed=1", ckpt_path=ckpt_path).start == last
    with pytest.raises(UserError, match=r"seed=1 ckpt_path=other\.ckpt; stopped: interrupted\), found seed=1; give"):
        run(tmp_path, "seed=1")
    last.unlink()
    for ckpt_path in ("other.ckpt", "last"):
        assert run(tmp_path, "seed=1", ckpt_path=ckpt_path).start == Path("other.ckpt")


def test_the_time_before_a_cut_is_counted(tmp_path: Path, last: Path) -> None:
    write_json(tmp_path / "result.json", {"status": "stopped: interrupted", "overrides": [], "seconds": 1000.0})
    left(tmp_path, None)
    assert 1000 <= json.loads((tmp_path / "result.json").read_text())["seconds"] < 1010
    resumed = (
        datetime.fromtimestamp(last.stat().st_mtime - 500).astimezone().isoformat()
    )  # and killed after its last save
    write_json(tmp_path / "result.json", {"status": "running", "overrides": [], "seconds": 1000.0, "started": resumed})
    assert run(tmp_path).values["seconds"] == pytest.approx(1500, abs=1)


def test_there_must_be_a_run_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ckpt_path=last: expected a run to resume, found none in .*resume=DIR"):
        run(tmp_path, ckpt_path="last")


@pytest.mark.parametrize("error", [None, SystemExit(1), RuntimeError("out of memory")], ids=repr)
def test_another_run_is_not_written_over(tmp_path: Path, last: Path, error: BaseException | None) -> None:
    left(tmp_path, error, "seed=1", "model=simple")
    for same in (["model=simple", "seed=1"], ["seed=2", "model=simple", "seed=1"]):  # the last one of a key counts
        assert run(tmp_path, *same).before["overrides"] == ["seed=1", "model=simple"]
    with pytest.raises(
        UserError, match=r"the run in this folder \(seed=1 model=simple; .*\), found seed=2; give another"
    ):
        run(tmp_path, "seed=2")
    with pytest.raises(UserError, match=r"found no overrides; give another folder: hydra\.run\.dir=DIR"):
        run(tmp_path)


def test_a_run_that_has_learned_nothing_yields(tmp_path: Path) -> None:
    left(tmp_path, UserError("crop.size: expected multiples of 16"), "crop.size=20")
    left(tmp_path, None, "crop.size=32")
    assert json.loads((tmp_path / "result.json").read_text())["overrides"] == ["crop.size=32"]


def test_the_same_command_may_be_written_in_other_words(tmp_path: Path) -> None:
    left(tmp_path, None, "optimizer.lr=0.001", "test=False", "tags=[a,b]")  # as a sweep writes it
    assert run(tmp_path, "optimizer.lr=1e-3", "tags=[a, b]", "test=false").is_over


def test_what_is_given_may_change_until_a_run_is_over(tmp_path: Path, last: Path) -> None:
    left(tmp_path, SystemExit(1), "seed=1")
    assert run(tmp_path, "seed=1", "trainer.max_epochs=9", ckpt_path="last").start == last
    left(tmp_path, None, "seed=1")
    change = ("trainer.max_epochs=1", "a=b c", "trainer.max_epochs=9")
    anew = r"over \(done\) and cannot .* settings: its .*\. Train anew: fkd train trainer\.max_epochs=9 'a=b c'"
    with pytest.raises(UserError, match=anew + "$"):
        run(tmp_path, *change, ckpt_path="last")
    (tmp_path / "checkpoints/best.ckpt").touch()
    with pytest.raises(UserError, match=anew + r"; or start from its net, with weights=.*best\.ckpt added$"):
        run(tmp_path, *change, ckpt_path="last")
    left(tmp_path / "other", Diverged("train/loss is nan"), "seed=1")
    with pytest.raises(UserError, match=r"over \(stopped: train/loss is nan\) and cannot .* settings\. Train anew"):
        run(tmp_path / "other", *change, ckpt_path="last")


def test_a_run_is_not_mixed_into_the_folder_of_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text("")
    with pytest.raises(UserError, match=r"expected the folder of a run, found that of a sweep; give another folder"):
        run(tmp_path)


DONE = '{"overrides": [], "status": "done", '
BROKEN = ["{", "[]", "{}", '{"overrides": 7, "status": "done"}', '{"overrides": []}', "[" * 100_000]
BROKEN += ['{"overrides": [7], "status": "done"}', '{"overrides": [], "status": 7}', DONE + '"ckpt_path": 7}']
BROKEN += [DONE + '"objective": "x"}', DONE + '"objective": [1]}', DONE + '"seconds": "x"}', DONE + '"started": "x"}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_folder_with_a_broken_result_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json: expected the result of a run, found a broken file"):
        run(tmp_path)
    assert (tmp_path / "result.json").read_text() == content


def test_what_is_refused_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    left(tmp_path, SystemExit(1), "seed=1")
    before = (tmp_path / "result.json").read_text()
    with suppress(UserError), run(tmp_path, "seed=2", ckpt_path="last"):
        raise UserError("no")
    assert (tmp_path / "result.json").read_text() == before


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    """The other one holds the lock until it ends, however it ends."""
    imported = "from fkd.training.runs.run_folder import Run"
    hold = f"{imported}\nwith Run({str(tmp_path)!r}, [], {{}}, None): print('in', flush=True), input()"
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
