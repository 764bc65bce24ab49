"""Runs are read whatever became of them."""

import json
from pathlib import Path

import pytest

from fkd import comparison
from fkd.comparison.run_reader import Run
from fkd.errors import UserError
from fkd.io.atomic import locked
from fkd.training.runs import metrics_csv
from tests.comparison.folders import DEFAULTS, write_metrics, write_run


def only(folder: Path) -> Run:
    (run,) = comparison.read([folder])
    return run


def test_a_run_that_is_done(tmp_path: Path) -> None:
    write_run(tmp_path / "sweep" / "0_model=simple", {"model": "simple"}, nme=6.0)
    run = only(tmp_path)
    assert (run.name, run.status, run.reason) == ("0_model=simple", "done", "")
    assert (run.epoch, run.val_nme, run.test_score("nme_interocular")) == (5, 7.0, 6.0)
    assert run.settings == DEFAULTS | {"model": "simple"}
    assert (run.parameters, run.images_per_s, run.seconds, run.mean_shape_nme) == (571_032, 400.0, 90.0, 20.0)


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ("failed: no such model", "failed", "no such model"),
        ("stopped: epoch 3: val/loss is nan, training has diverged", "stopped", "epoch 3: val/loss is nan, training"),
        ("running", "killed", "after epoch 5 of 5"),
        ("sleeping", "broken", "status='sleeping'"),
    ],
)
def test_a_run_that_is_not_done_has_the_best_of_what_it_logged(
    tmp_path: Path, said: str, status: str, reason: str
) -> None:
    write_run(tmp_path / "run", nme=6.0, status=said, best=None, test=None)
    run = only(tmp_path)
    assert run.status == status
    assert reason in run.reason
    assert run.epoch == 5  # the curve falls
    assert run.val_nme == pytest.approx(7.0)


def test_a_run_whose_lock_is_held_is_running(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", status="running", best=None, test=None)
    write_metrics(folder, 7.0, epochs=3)
    with locked(folder / ".lock", wait=False) as held:
        assert held
        assert (only(tmp_path).status, only(tmp_path).reason) == ("running", "epoch 3 of 5")
    assert only(tmp_path).status == "killed"


@pytest.mark.parametrize(
    "content", [b"", b'{"status": "do', b"[1]", b'{"status": 3}', b"\xff\xfe", b"[" * 100_000], ids=repr
)
def test_a_result_that_cannot_be_read_is_broken(tmp_path: Path, content: bytes) -> None:
    (write_run(tmp_path / "run") / "result.json").write_bytes(content)
    run = only(tmp_path)
    assert run.status == "broken"
    assert run.reason.startswith("result.json")


def test_a_training_without_a_result_is_broken_and_an_evaluation_is_no_run(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a")
    (write_run(tmp_path / "runs" / "b") / "result.json").unlink()
    evaluation = tmp_path / "runs" / "c" / ".hydra"
    evaluation.mkdir(parents=True)
    (evaluation / "config.yaml").write_text("task_name: evaluate\nckpt: best.ckpt\n")
    assert [(run.name, run.status) for run in comparison.read([tmp_path])] == [("a", "done"), ("b", "broken")]


def test_values_of_any_kind_do_no_harm(tmp_path: Path) -> None:
    odd = {"best": {"epoch": "x", "val/nme": float("nan")}, "test": [], "parameters": "many", "seconds": True}
    write_run(tmp_path / "run", settings={"tags": ["a", "b"], "lr": float("inf")}, **odd)
    run = only(tmp_path)
    assert (run.status, run.epoch, run.val_nme, run.test, run.parameters) == ("done", None, None, {}, None)
    assert (run.settings["tags"], run.settings["lr"]) == ('["a", "b"]', "inf")
    comparison.rank([run], "auto")


def test_an_older_run_is_known_by_its_overrides_and_its_config(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "old", {"optimizer.lr": "1e-3", "ckpt_path": "x=1"})
    result = json.loads((folder / "result.json").read_text())
    del result["settings"]
    (folder / "result.json").write_text(json.dumps(result))
    (folder / ".hydra" / "config.yaml").write_text(
        "model:\n  name: naimish\ntrainer:\n  max_epochs: 7\ndata:\n  batch_size: 8\n"
    )
    write_run(tmp_path / "new")
    new, old = comparison.read([tmp_path])
    assert old.settings == {
        "optimizer.lr": 0.001,
        "model": "naimish",
        "trainer.max_epochs": 7,
        "data.batch_size": 8,
    }
    assert new.settings == DEFAULTS


def test_the_same_run_is_read_once(tmp_path: Path) -> None:
    write_run(tmp_path / "sweep" / "0")
    assert len(comparison.read([tmp_path, tmp_path / "sweep", tmp_path / "sweep" / "0"])) == 1


def test_folders_are_names_globs_and_lists(tmp_path: Path) -> None:
    for name in ("a", "b", "[1]"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert comparison.folders(f"{tmp_path}/[1]") == [tmp_path / "[1]"]  # what exists comes first
    assert comparison.folders([f"{tmp_path}/[ab]"]) == [tmp_path / "a", tmp_path / "b"]
    for wrong, found in ((f"{tmp_path}/gone", "no such folder"), (f"{tmp_path}/file", "a file"), ("", "runs=")):
        with pytest.raises(UserError, match=found):
            comparison.folders(wrong)
    with pytest.raises(UserError, match="found none"):
        comparison.folders([])


def test_a_curve_is_read_in_epochs_from_one_and_the_later_row_counts(tmp_path: Path) -> None:
    lines = ["epoch,step,train/loss,val/loss", "0,1,,4.0", "0,1,3.0,", "1,2,,2.5", "1,2,,2.0", "2,3,,nan", "2,3,9.0"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    curves = metrics_csv.read(tmp_path)
    assert curves == {"val/loss": {1: 4.0, 2: 2.0}, "train/loss": {1: 3.0}}  # what is cut off is left out
    assert metrics_csv.best_epoch(curves) == {"epoch": 2, "val/loss": 2.0}
    assert metrics_csv.last_epoch(curves) == 2
    assert metrics_csv.read(tmp_path / "gone") == {}
