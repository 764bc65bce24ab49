"""The scripts as a user runs them, on a few synthetic faces: what they leave, and what they say to wrong input."""

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from fkd.inference.torch_net import load_net
from fkd.io import images
from fkd.synthetic import face
from tests.conftest import PROJECT, Outcome, write_faces

Script = Callable[..., Outcome]
SWEEP = ("hydra.sweep.dir=sweep",)
FAST = ("trainer=debug", "crop.size=32", "data.batch_size=8", "data.num_workers=0")


def on(root: Path) -> tuple[str, ...]:
    return ("data=udacity", f"data.root={root}", "data.cache_dir=cache", "data.val_share=0.3")


@pytest.fixture
def trained(script: Script, faces_root: Path) -> Path:
    """A run folder of one short epoch."""
    outcome = script("train", *on(faces_root), *FAST, "hydra.run.dir=run")
    assert outcome.status == 0, outcome.err
    return Path("run")


def test_training_leaves_the_run_folder_of_the_contract(trained: Path) -> None:
    names = {str(path.relative_to(trained)) for path in trained.rglob("*")}
    assert {
        ".hydra/config.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "metrics.csv",
        "result.json",
    } <= names
    assert any(name.startswith("tensorboard/events") for name in names)
    result = json.loads((trained / "result.json").read_text())
    assert result["status"] == "done"
    assert "trainer=debug" in result["overrides"]
    assert set(result["best"]) == {"epoch", "val/loss", "val/nme"}
    assert {"test", "mean_shape_nme", "parameters", "train_images_per_s", "seconds"} <= result.keys()
    assert result["parameters"] == sum(
        p.numel() for p in load_net(trained / "checkpoints/best.ckpt").model.net.parameters()
    )
    with (trained / "metrics.csv").open() as file:
        logged = {name for name, value in ((n, v) for row in csv.DictReader(file) for n, v in row.items()) if value}
    assert {"train/loss", "val/loss", "val/nme", "lr"} <= logged


def test_evaluation_gives_what_the_run_wrote_down(trained: Path, script: Script, faces_root: Path) -> None:
    arguments = (f"ckpt={trained}/checkpoints/best.ckpt", *on(faces_root), "subset=test", "hydra.run.dir=scores")
    outcome = script("evaluate", *arguments)
    assert outcome.status == 0, outcome.err
    metrics = json.loads(Path("scores/metrics.json").read_text())
    expected = json.loads((trained / "result.json").read_text())["test"]
    assert metrics.keys() == expected.keys()
    assert metrics["nme_interocular"] == pytest.approx(expected["nme_interocular"], rel=1e-4)
    for name in ("ced.png", "faces.png"):
        assert images.read(Path("scores") / name, 3).std() > 5
    assert f"{metrics['nme_interocular']:.3f}" in outcome.out


def test_scores_agree_with_a_calculation_from_the_labels_file(trained: Path, script: Script, faces_root: Path) -> None:
    """NME and failure rate by a plain loop over the CSV, with crops and shift done here once more."""
    net = load_net(trained / "checkpoints/best.ckpt")
    script("evaluate", f"ckpt={trained}/checkpoints/best.ckpt", *on(faces_root), "subset=test", "hydra.run.dir=scores")
    metrics = json.loads(Path("scores/metrics.json").read_text())
    errors = []
    with (faces_root / "test_frames_keypoints.csv").open() as file:
        for name, *numbers in list(csv.reader(file))[1:]:
            label = np.array(numbers, float).reshape(68, 2)
            distance = math.dist(label[36], label[45])
            true = label - [0.2 + 0.0274 * distance, 0]
            low, high = true.min(axis=0), true.max(axis=0)
            side, centre = 1.35 * (high - low).max(), (low + high) / 2
            image = images.read(faces_root / "test" / name, 1)
            steps = (np.arange(32) + 0.5) / 32 * side - side / 2
            x, y = np.meshgrid(centre[0] + steps, centre[1] + steps)
            crop = sample(image, x, y)
            found = net(crop[None, None])[0]
            photo = centre - side / 2 + (found + 0.5) / 32 * side
            photo[:, 0] += 0.2 + 0.0274 * math.dist(photo[36], photo[45])
            errors.append(100 * np.linalg.norm(photo - label, axis=1).mean() / distance)
    assert metrics["faces"] == len(errors) == 10
    assert metrics["nme_interocular"] == pytest.approx(
        np.mean(errors), rel=0.03
    )  # its sampling averages, ours does not
    assert metrics["subjects"] == 10


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear sampling, black outside; shrunk by area first as crops are."""
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    padded = np.pad(image.astype(float), 200)
    total = np.zeros_like(x)
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - (x - x0)) * np.abs(1 - dy - (y - y0))
            total += weight * padded[y0 + dy + 200, x0 + dx + 200]
    return np.rint(total).astype(np.uint8)


@pytest.mark.parametrize("boxes", ["jitter", "detector"])
def test_other_boxes_are_scored(trained: Path, script: Script, faces_root: Path, boxes: str) -> None:
    checkpoint = f"ckpt={trained}/checkpoints/best.ckpt"
    which = (f"boxes={boxes}", "detector=haar", "hydra.run.dir=scores")
    outcome = script("evaluate", checkpoint, *on(faces_root), "subset=all", *which)
    assert outcome.status == 0, outcome.err
    metrics = json.loads(Path("scores/metrics.json").read_text())
    assert (metrics["boxes"], metrics["faces"]) == (boxes, 40)
    if boxes == "jitter":
        assert metrics["missed_faces"] == 0
        assert metrics["nme_all"] == pytest.approx(metrics["nme_interocular"], rel=1e-4)
    else:
        assert 0 < metrics["missed_faces"] < 40  # synthetic faces are hard for a cascade made for photographs
        assert metrics["nme_all"] != pytest.approx(metrics["nme_interocular"], rel=1e-4)
        assert metrics["failure_rate_10"] >= 100 * metrics["missed_faces"] / 40


def test_resuming_goes_on_after_the_last_epoch(script: Script, faces_root: Path) -> None:
    constant = (*on(faces_root), *FAST, "scheduler=none", "test=false")
    script("train", *constant, "hydra.run.dir=run")
    resume = ("ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=3", "hydra.run.dir=more")
    outcome = script("train", *constant, *resume)
    assert outcome.status == 0, outcome.err
    assert "epoch 2/3" in outcome.out
    assert "epoch 1/3" not in outcome.out


def test_a_schedule_is_not_resumed_beyond_its_end(trained: Path, script: Script, faces_root: Path) -> None:
    resume = (f"ckpt_path={trained}/checkpoints/last.ckpt", "trainer.max_epochs=3")
    refused(script("train", *on(faces_root), *FAST, *resume), "trainer.max_epochs=1", "found 3", "scheduler=none")


@pytest.mark.parametrize(
    ("other", "part"), [("trainer.max_epochs=3", "trainer.max_epochs=1"), ("loss=wing", "loss"), ("seed=x", "seed")]
)
def test_a_resume_that_is_refused_leaves_the_folder_as_it_is(
    trained: Path, script: Script, faces_root: Path, other: str, part: str
) -> None:
    result = json.loads((trained / "result.json").read_text())
    (trained / "result.json").write_text(json.dumps(result | {"status": "stopped: interrupted by SIGTERM"}))
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file() and path.name != "result.json"}
    refused(script("train", f"resume={trained}", other), part)
    after = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file() and path.name != "result.json"}
    assert after == before
    assert json.loads((trained / "result.json").read_text())["status"] == "stopped: interrupted by SIGTERM"


def test_only_a_fitting_checkpoint_is_resumed(trained: Path, script: Script, faces_root: Path) -> None:
    folder = trained / "checkpoints"
    (folder / "half.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:5000])
    (folder / "text.ckpt").write_text("not a checkpoint")
    run = (*on(faces_root), *FAST)
    for name, part in (("half", "truncated"), ("text", "another"), ("best", "last.ckpt")):
        refused(script("train", *run, f"ckpt_path={folder}/{name}.ckpt"), f"{name}.ckpt", part)
    refused(script("train", *run, "model=naimish", f"ckpt_path={folder}/last.ckpt"), "model=compact", "naimish")
    for other in ("model.net.stem=8", "optimizer.lr=1e-4", "scheduler=none"):
        outcome = script("train", *run, other, f"ckpt_path={folder}/last.ckpt")
        refused(outcome, other.split("=")[0].split(".")[0], "overrides of that run")


def test_a_checkpoint_is_scored_without_training(trained: Path, script: Script, faces_root: Path) -> None:
    checkpoint = f"ckpt_path={trained}/checkpoints/best.ckpt"
    outcome = script("train", *on(faces_root), *FAST, "train=false", checkpoint, "hydra.run.dir=again")
    assert outcome.status == 0, outcome.err
    first, again = (json.loads(Path(run, "result.json").read_text()) for run in ("run", "again"))
    assert again["test"]["nme_interocular"] == pytest.approx(first["test"]["nme_interocular"], rel=1e-5)
    assert again["best"] == first["best"]


def test_a_net_is_not_scored_on_labels_of_another_kind(trained: Path, script: Script, faces_root: Path) -> None:
    checkpoint = f"ckpt={trained}/checkpoints/best.ckpt"
    refused(script("evaluate", checkpoint, *on(faces_root), "data.label_shift=false"), "data.label_shift=False", "True")


def test_subjects_of_the_training_are_counted_whatever_the_split(
    trained: Path, script: Script, faces_root: Path
) -> None:
    """Another split of the same set shares subjects with the net's training though its own parts share none."""
    subject = (f"ckpt={trained}/checkpoints/best.ckpt", *on(faces_root), "data.split=subject", "data.test_share=0.5")
    assert script("evaluate", *subject, "hydra.run.dir=scores").status == 0
    metrics = json.loads(Path("scores/metrics.json").read_text())
    learned = set(torch.load(trained / "checkpoints/best.ckpt", weights_only=True)["subjects"])
    assert len(learned) == 7
    assert 0 < metrics["subjects_in_training"] <= min(metrics["subjects"], 7)


def test_a_job_that_fails_does_not_end_a_sweep(script: Script, faces_root: Path) -> None:
    sweep = ("crop.size=20,32", "hydra.sweep.dir=sweep", "test=false")
    outcome = script("train", "-m", *on(faces_root), *(a for a in FAST if "size=32" not in a), *sweep)
    assert outcome.status == 2
    assert "crop.size in multiples of 16, found 20" in outcome.err
    jobs = ("0_crop.size=20", "1_crop.size=32")
    statuses = [json.loads(Path(f"sweep/{job}/result.json").read_text())["status"] for job in jobs]
    assert statuses[0].startswith("failed: model=compact needs crop.size")
    assert statuses[1] == "done"


def test_a_sweep_goes_on_where_it_was_cut(script: Script, faces_root: Path) -> None:
    """The first job is done and stays as it is; the second was killed after its first epoch; the third never began."""
    sweep = ("-m", *on(faces_root), *FAST, "trainer.max_epochs=2", "test=false", "optimizer.lr=1e-3,2e-3,3e-3", *SWEEP)
    assert script("train", *sweep).status == 0
    jobs = sorted(Path("sweep").glob("[0-9]_*"))
    assert [job.name for job in jobs] == [f"{i}_optimizer.lr=0.00{i + 1}" for i in range(3)]
    weights = [(job / "checkpoints/last.ckpt").read_bytes() for job in jobs]
    first = (jobs[0] / "checkpoints/best.ckpt").stat().st_mtime_ns
    shutil.rmtree(jobs[2])
    unfinish(jobs[1])
    outcome = script("train", "resume=sweep")
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("nothing is left to do") == 1
    assert outcome.out.count("epoch 1/2") == 1  # the second job had been trained to its end
    assert (jobs[0] / "checkpoints/best.ckpt").stat().st_mtime_ns == first
    assert [json.loads((job / "result.json").read_text())["status"] for job in jobs] == ["done"] * 3
    again = torch.load(jobs[2] / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    (jobs[2] / "before.ckpt").write_bytes(weights[2])
    before = torch.load(jobs[2] / "before.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(before[name], again[name]) for name in before)


def test_a_folder_keeps_what_it_holds(script: Script, faces_root: Path) -> None:
    """Runs and sweeps: only their own commands may use their folders again."""

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    given = (*on(faces_root), *FAST, "test=false")
    assert script("train", "-m", *given, "seed=0", *SWEEP).status == 0
    assert script("train", *given, "hydra.run.dir=run").status == 0
    kept = contents()
    refused(script("train", "-m", *given, "seed=1", *SWEEP), "sweep", "seed=0", "found", "seed=1", "hydra.sweep.dir")
    refused(script("train", "-m", *given, "hydra.sweep.dir=run"), "run", "a sweep", "found", "a run")
    refused(script("train", *given, "hydra.run.dir=sweep"), "sweep", "a run", "found", "a sweep")
    refused(script("train", *given, "seed=1", "hydra.run.dir=run"), "run", "found", "seed=1", "hydra.run.dir")
    again = script("train", *given, "hydra.run.dir=run")
    assert again.status == 0
    assert "done, nothing is left to do" in again.out
    assert contents() == kept


def test_a_run_goes_on_learning_what_it_began_with(script: Script, faces_root: Path) -> None:
    assert script("train", *on(faces_root), *FAST, "test=false", "hydra.run.dir=run").status == 0
    unfinish(Path("run"))
    before = json.loads(Path("run/result.json").read_text())
    others = ("loss=mse", "seed=1", "augmentation=none", "data.batch_size=7", "data.val_share=0.5", "optimizer.lr=1e-4")
    others += ("trainer.gradient_clip_val=null", "+trainer.accumulate_grad_batches=2", "callbacks=ema")
    for other in others:
        outcome = script("train", "resume=run", other)
        refused(outcome, "last.ckpt", f"own {other.lstrip('+').split('=')[0]}", "give the overrides of that run")
        assert json.loads(Path("run/result.json").read_text()) == before
    assert script("train", "resume=run", "data.num_workers=1", "tags=[again]").status == 0
    assert "nothing is left to do" in script("train", *on(faces_root), *FAST, "test=false", "hydra.run.dir=run").out


def test_a_run_goes_on_with_the_faces_it_began_with(script: Script, tmp_path: Path) -> None:
    root = write_faces(tmp_path / "set", subjects=10, frames=3)
    assert script("train", *on(root), *FAST, "test=false", "hydra.run.dir=run").status == 0
    unfinish(Path("run"))
    last, table = Path("run/checkpoints/last.ckpt").read_bytes(), root / "test_frames_keypoints.csv"
    labels = table.read_text()
    head, first, rest = labels.split("\n", 2)
    name, _, others = first.split(",", 2)
    table.write_text("\n".join([head, f"{name},1.5,{others}", rest]))
    refused(script("train", "resume=run"), "last.ckpt", "expected the faces that this run started with", "in test")
    assert Path("run/checkpoints/last.ckpt").read_bytes() == last
    table.write_text(labels)
    assert script("train", "resume=run").status == 0


def test_a_schedule_goes_on_for_the_steps_that_it_was_made_for(trained: Path, script: Script, faces_root: Path) -> None:
    other = (f"ckpt_path={trained}/checkpoints/last.ckpt", "data.batch_size=4", "hydra.run.dir=more")
    refused(
        script("train", *on(faces_root), *FAST, *other),
        "scheduler",
        "for which the resumed schedule was made",
        "data.batch_size",
    )


def test_a_sweep_may_go_on_with_other_workers(script: Script, faces_root: Path) -> None:
    sweep = ("-m", *on(faces_root), *FAST, "test=false", "seed=0,1", *SWEEP)
    assert script("train", *sweep).status == 0
    unfinish(Path("sweep/1_seed=1"))
    outcome = script("train", "resume=sweep", "data.num_workers=1")
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("nothing is left to do") == 1
    refused(script("train", "resume=sweep", "loss=mse"), "sweep", "expected the command of the sweep", "loss=mse")


def test_a_run_that_was_moved_keeps_its_best_epoch(script: Script, faces_root: Path) -> None:
    """What Lightning knows of the best epoch are paths of the place where it was."""
    script("train", *on(faces_root), *FAST, "test=false", "scheduler=none", "hydra.run.dir=old")
    unfinish(Path("old"))
    last = torch.load("old/checkpoints/last.ckpt", weights_only=True)
    (state,) = (state for name, state in last["callbacks"].items() if name.startswith("ModelCheckpoint"))
    score = torch.tensor(0.0)  # that no epoch can be better than
    state |= {"best_model_score": score, "kth_value": score, "best_k_models": {state["best_model_path"]: score}}
    torch.save(last, "old/checkpoints/last.ckpt")
    best = Path("old/checkpoints/best.ckpt").read_bytes()
    Path("old").rename("new")
    outcome = script("train", "resume=new", "trainer.max_epochs=2")
    assert outcome.status == 0, outcome.err
    assert Path("new/checkpoints/best.ckpt").read_bytes() == best
    assert f"{Path('new').absolute()}/checkpoints/best.ckpt (epoch 1)" in " ".join(outcome.out.split())
    assert not Path("old").exists()


def test_ddp_in_a_sweep_is_refused(script: Script, faces_root: Path) -> None:
    outcome = script(
        "train", "-m", *on(faces_root), *FAST[1:], "trainer=ddp", "trainer.accelerator=cpu", "seed=0,1", *SWEEP
    )
    assert outcome.status == 2
    assert outcome.err.count("trainer: expected one process in a sweep (-m), found 2") == 2


def test_the_same_seed_trains_the_same_weights(script: Script, faces_root: Path) -> None:
    states = []
    for run in ("a", "b"):
        script("train", *on(faces_root), *FAST, "test=false", "augmentation=strong", f"hydra.run.dir={run}")
        states.append(torch.load(f"{run}/checkpoints/last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_loss_that_becomes_nan_stops_and_keeps_the_good_checkpoint(script: Script, faces_root: Path) -> None:
    short = (*on(faces_root), *FAST, "test=false", "loss=mse", "scheduler=none", "optimizer=sgd", "hydra.run.dir=run")
    script("train", *short)
    unfinish(Path("run"))
    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    last["optimizer_states"][0]["param_groups"][0]["lr"] = 1e30
    torch.save(last, "run/checkpoints/last.ckpt")
    good = Path("run/checkpoints/last.ckpt").read_bytes()
    outcome = script("train", "resume=run", "trainer.max_epochs=3")
    assert outcome.status == 1
    assert "diverged" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert json.loads(Path("run/result.json").read_text())["status"].startswith("stopped: ")
    assert Path("run/checkpoints/last.ckpt").read_bytes() == good


def test_an_interrupt_says_how_to_go_on(script: Script, faces_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", interrupt)
    outcome = script("train", *on(faces_root), *FAST, "hydra.run.dir=run")
    assert outcome.status == 1
    assert outcome.err.strip().splitlines()[-1].startswith("error: interrupted; resume=")
    assert json.loads(Path("run/result.json").read_text())["status"] == "stopped: interrupted"


def unfinish(folder: Path) -> None:
    """Makes a run one that was killed after its last epoch."""
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "running"}))


def copy_set(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "broken", subjects=4, frames=3)


def change_csv(root: Path, change: Callable[[list[list[str]]], object]) -> None:
    path = root / "training_frames_keypoints.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_a_net_that_learned_nothing_is_said_to_be_no_better_than_the_mean_face(
    script: Script, faces_root: Path
) -> None:
    quick = ("trainer=cpu", "trainer.max_epochs=1", "crop.size=32", "data.batch_size=8", "data.num_workers=0")
    outcome = script("train", *on(faces_root), *quick, "optimizer.lr=0", "hydra.run.dir=run")
    assert outcome.status == 0, outcome.err
    (line,) = json.loads(Path("run/result.json").read_text())["warnings"]
    assert line.startswith("the net is no better than the mean face (test NME ")
    assert outcome.out.splitlines()[-1] == f"warning: {line}"


def test_a_training_that_the_time_ended_says_so(script: Script, faces_root: Path) -> None:
    quick = (*FAST, "trainer.max_epochs=500", "test=false", "callbacks.overlays=null")
    for time, folder, expected in (("00:00:00:02", "short", 1), ("00:01:00:00", "long", 0)):
        epochs = (f"trainer.max_epochs={500 if expected else 1}", f"trainer.max_time={time}")
        outcome = script("train", *on(faces_root), *quick, *epochs, f"hydra.run.dir={folder}")
        assert outcome.status == 0, outcome.err
        lines = json.loads(Path(folder, "result.json").read_text())["warnings"]
        assert len(lines) == outcome.out.count("trainer.max_time ended the training") == expected
        assert all(re.fullmatch(r"trainer.max_time ended the training in epoch \d+ of 500", line) for line in lines)


def test_overfitting_a_few_faces_ends_with_its_verdict(script: Script, faces_root: Path) -> None:
    few = ("overfit.faces=3", "overfit.passes=1", "trainer.max_epochs=1", "data.batch_size=3", "crop.size=32")
    outcome = script("train", *on(faces_root), "debug=overfit", "trainer=cpu", *few, "callbacks.overlays=null")
    assert outcome.status == 0, outcome.err
    assert "it has not learned 3 faces: val/nme " in outcome.out


def refused(outcome: Outcome, *parts: str) -> None:
    """Exit status 2, one line, no traceback, and the line names what matters."""
    assert outcome.status == 2, outcome
    *before, line = outcome.err.strip().splitlines()
    assert all("━" in other for other in before), outcome.err  # progress bars may stand above it
    assert line.startswith("error: ")
    for part in parts:
        assert part in line, line


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["model=naimsh"], ["model=naimsh", "did you mean naimish", "simple"]),
        (["loss=smoothl2"], ["loss=smoothl2", "smoothl1"]),
        (["experiment=notebook/naimsh"], ["experiment=notebook/naimsh", "notebook/naimish"]),
        (["optimzer.lr=1"], ["optimzer.lr", "did you mean", "optimizer.lr"]),
        (["optimizer.rl=1"], ["optimizer.rl", "optimizer.lr"]),
        (["modle=simple"], ["modle", "model"]),
        (["data=udacity", "data.root=nowhere"], ["nowhere", "P1_Facial_Keypoints"]),
        (["optimizer.lr=-1"], ["optimizer.lr: expected a number from 0 on, found -1"]),
        (["trainer.max_epochs=soon"], ["trainer", "soon"]),
        (["#", "as", "notebooks"], ["#: expected key=value, found a comment", "interactivecomments"]),
        (["trainer.max_epochs"], ["trainer.max_epochs: expected trainer.max_epochs=VALUE, found no value"]),
        (["naimish"], ["naimish: expected key=value, e.g. model=compact"]),
        (["model=simple", "model.net.dropout=2"], ["model.net.dropout=2: expected a number from 0 to 1"]),
        (["model=simple", "model.net.dropout=null"], ["model.net.dropout: expected a number from 0 on, found None"]),
        (["model=simple", "~model.lr"], ["model.lr: expected a learning rate in the model's YAML"]),
        (["channels=4"], ["channels=4: expected 1 (grey) or 3 (RGB)"]),
        (["channels=2"], ["channels=2: expected 1 (grey) or 3 (RGB)"]),
        (["trainer.gradient_clip_val=-1"], ["trainer.gradient_clip_val: expected a number from 0 on, found -1"]),
        (["optimizer.fused=maybe"], ["optimizer.fused: expected true or false, found 'maybe'"]),
        (["data.batch_size=0"], ["data.batch_size", "0"]),
        (["data.num_workers=many"], ["data.num_workers", "many"]),
        (["model=simple", "crop.size=20"], ["model=simple", "crop.size", "20"]),
        (["model=compact", "crop.size=50"], ["crop.size", "50"]),
        (["ckpt_path=gone.ckpt"], ["ckpt_path=gone.ckpt: expected a file, found no such file"]),
        (["seed=-1"], ["seed", "-1"]),
        (["crop.size=big"], ["crop.size", "big"]),
        (["loss=smoothl1", "loss.beta=x"], ["beta", "x"]),
        (["model=base"], ["model", "another option"]),
        (["trainer.devices=x"], ["trainer", "devices"]),
        (["augmentation.flip=x"], ["augmentation.flip", "x"]),
        (["optimizer.lr=${nothing}"], ["nothing"]),
        (["data=udacity", "data.root=5"], ["data.root=5", "folder"]),
        (["channels=0", "model=simple"], ["channels", "0"]),
        (["model.net.blocks=[]"], ["three blocks"]),
        (["scheduler.scheduler.pct_start=5", "trainer=debug"], ["scheduler", "pct_start"]),
        (["scheduler.interval=never"], ["scheduler.interval=never", "epoch"]),
        (["+data.source.depth=3"], ["data.source", "depth"]),
        (["trainer.max_epochs=0"], ["trainer.max_epochs: expected a whole number from 1 on, found 0"]),
        (["trainer.max_epochs=-2"], ["trainer.max_epochs: expected a whole number from 1 on, found -2"]),
        (["model.lr=abc"], ["model.lr: expected a number from 0 on, found 'abc'"]),
        (["optimizer.lr=abc"], ["optimizer.lr: expected a number from 0 on, found 'abc'"]),
        (["optimized_metric=val/nmf"], ["optimized_metric=val/nmf", "val/nme"]),
        (["trainer=gpu"], ["trainer", "gpu"]),
        (["crop.plan.scale=0"], ["crop.plan: scale:", "found 0"]),
        (["loss=null"], ["group"]),
        (["schema=ibug69"], ["schema=ibug69", "ibug68"]),
        (["data.batch_size=1"], ["data.batch_size=1", "compact"]),
        (["model.net.depth=3"], ["model.net.depth"]),
        (["+model.net.depth=3"], ["model.net.depth: model=compact takes no such argument", "blocks", "leave it out"]),
        (["experiment=notebook/simple", "model=compact"], ["model.net.dropout", "model=compact", "experiment"]),
        (["train=false"], ["train=false", "ckpt_path"]),
        (["boxes=perfect", "trainer=debug"], ["boxes", "perfect", "keypoints, jitter, detector"]),
        (["++augmentation.transforms=[{_target_: albumentations.HorizontalFlip}]"], ["HorizontalFlip", "flip"]),
        (["model=compact", "hydra.run.dir=/proc/none/run"], ["/proc/none"]),
        (["seed"], ["seed"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_wrong_arguments_of_training(
    script: Script, faces_root: Path, arguments: Sequence[str], parts: Sequence[str]
) -> None:
    data = () if any(argument.startswith("data=") for argument in arguments) else on(faces_root)
    small = () if any("size" in argument for argument in arguments) else FAST[1:2]
    refused(script("train", *data, *small, "trainer=cpu", "data.batch_size=4", *arguments), *parts)


def test_a_batch_larger_than_the_set(script: Script, faces_root: Path) -> None:
    refused(script("train", *on(faces_root), *FAST, "data.batch_size=64"), "data.batch_size", "64")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda rows: rows[2].pop(), ["training_frames_keypoints.csv", "3"]),
        (lambda rows: rows[2].__setitem__(5, "ten"), ["training_frames_keypoints.csv", "3", "ten"]),
        (lambda rows: rows[2].__setitem__(5, "nan"), ["training_frames_keypoints.csv", "3", "nan"]),
        (lambda rows: rows[2].__setitem__(0, rows[1][0]), ["training_frames_keypoints.csv", "3", "Subject_0_0.png"]),
        (lambda rows: [row.pop() for row in rows], ["training_frames_keypoints.csv", "136"]),
        (lambda rows: rows[2].__setitem__(0, "Subject_0_9.png"), ["Subject_0_9.png"]),
    ],
    ids=["short row", "text", "NaN", "duplicate", "columns", "missing image"],
)
def test_a_broken_csv(script: Script, tmp_path: Path, change: Callable[..., object], parts: Sequence[str]) -> None:
    root = copy_set(tmp_path)
    change_csv(root, change)
    refused(script("train", *on(root), *FAST), *parts)


@pytest.mark.parametrize("content", [b"", b"GIF", "half"], ids=["empty", "no image", "truncated"])
def test_a_broken_image(script: Script, tmp_path: Path, content: bytes | str) -> None:
    path = copy_set(tmp_path) / "training" / "Subject_1_0.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if isinstance(content, str) else content)
    refused(script("train", *on(path.parents[1]), *FAST), "Subject_1_0.png")
    assert not list(Path("cache").glob("*.images"))


def test_wrong_arguments_of_evaluation(script: Script, trained: Path, faces_root: Path) -> None:
    checkpoint = f"ckpt={trained}/checkpoints/best.ckpt"
    refused(script("evaluate", "ckpt=gone.ckpt", *on(faces_root)), "gone.ckpt")
    refused(script("evaluate", checkpoint, *on(faces_root), "subset=tset"), "subset=tset", "test")
    refused(script("evaluate", checkpoint, *on(faces_root), "boxes=perfect"), "boxes", "perfect")
    refused(script("evaluate", checkpoint, *on(faces_root), "device=abacus"), "device", "abacus")


def test_an_exported_net_is_scored_like_its_checkpoint(script: Script, trained: Path, faces_root: Path) -> None:
    checkpoint = trained / "checkpoints/best.ckpt"
    assert script("export", f"ckpt={checkpoint}", "output=net.onnx", *on(faces_root), "crops=4").status == 0
    scores = {}
    for name, path in {"ckpt": checkpoint, "onnx": Path("net.onnx")}.items():
        given = (f"ckpt={path}", "boxes=detector", "detector=whole_image", "flip=true", f"hydra.run.dir={name}")
        outcome = script("evaluate", *on(faces_root), *given)
        assert outcome.status == 0, outcome.err
        assert ("does not name its training subjects" in outcome.out) == (name == "onnx")
        scores[name] = json.loads(Path(name, "metrics.json").read_text())
    assert scores["ckpt"]["subjects_in_training"] > 0
    assert scores["onnx"]["subjects_in_training"] is None
    for key in ("nme_interocular", "nme_all", "auc_10", "faces", "missed_faces"):
        assert scores["onnx"][key] == pytest.approx(scores["ckpt"][key], rel=1e-3), key


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("train", "weights=nope.ckpt", "weights=nope.ckpt: expected a file, found no such file"),
        ("train", "ckpt_path=nope.ckpt", "ckpt_path=nope.ckpt: expected a file, found no such file"),
        ("train", "weights=udacty", "weights=udacty: expected a file, found no such file; did you mean udacity?\n"),
        (
            "predict",
            "ckpt=udacty",
            "ckpt=udacty: expected a checkpoint (.ckpt, .safetensors) or an exported net (.onnx), "
            "found no such file; did you mean udacity? the nets that come",
        ),
        ("zoo", "runs=/nope", "runs=/nope: expected a folder"),
        ("predict", "ckpt=nope.ckpt", "ckpt=nope.ckpt: expected a checkpoint (.ckpt, .safetensors) or an exported net"),
    ],
)
def test_a_file_that_is_not_there_is_said_before_torch_is_loaded(
    tmp_path: Path, name: str, argument: str, message: str
) -> None:
    program = """
import runpy, sys
sys.modules["torch"] = None  # importing it fails
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    needed = (f"input={tmp_path}", "output=out") if name == "predict" else ()
    given = [str(PROJECT / "scripts" / f"{name}.py"), argument, *needed, f"hydra.run.dir={tmp_path}/run"]
    (tmp_path / "photo.png").touch()
    done = subprocess.run(
        [sys.executable, "-c", program, *given], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {message}")


def test_a_mistake_ends_the_process_with_status_2_and_one_line(tmp_path: Path) -> None:
    """Once in a process of its own, as the shell sees it."""
    command = [sys.executable, str(PROJECT / "scripts" / "train.py"), "model=naimsh"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert not list(tmp_path.iterdir())


def test_faces_are_drawn_as_udacity_writes_them(faces_root: Path) -> None:
    """The fixture's own format: labels of a frame are those of the generator."""
    with (faces_root / "training_frames_keypoints.csv").open() as file:
        name, *numbers = list(csv.reader(file))[1]
    assert name == "Subject_0_0.png"
    np.testing.assert_allclose(np.array(numbers, float).reshape(68, 2), face(0, 0, 0, 128)[1], atol=1e-3)
