"""`fkd train_detector` on a few synthetic photos."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml

from fkd.config import CONF
from fkd.detector_training.photos import BOXES
from fkd.geometry import square_around
from fkd.io import images
from fkd.synthetic import face
from tests.conftest import Outcome


def load(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights


class Cut(pl.Callback):
    """Interrupts the process in the second epoch."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGINT)


SMALL = (
    "mosaics.size=64", "mosaics.faces=[12,60]", "mosaics.length=8", "validation=2", "data.batch_size=4",
    "trainer.max_epochs=2", "model.net.widths=[4,4,8,8,8]", "model.net.depths=[1,1,1]", "model.net.head=8",
    "data.subjects=4", "data.frames=1", "data.size=96", "trainer.accelerator=cpu", "labels.net=synthetic",
)  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen synthetic photos with the boxes of their faces."""
    root, boxes = tmp_path_factory.mktemp("party"), {}
    for i in range(16):
        image, points = face(5, i, 0, 96)
        images.write(root / f"{i:02}a.png", image)
        boxes[f"{i:02}a.png"] = [[*square_around(points).tolist(), 0.9]]
    (root / BOXES).write_text(json.dumps(boxes))
    return root


def test_it_writes_a_detector_with_its_scores_and_another_training_begins_from_it(
    photos: Path, script: Callable[..., Outcome], tmp_path: Path
) -> None:
    given = (f"photos=[{photos}]", f"data.root={tmp_path}/data", *SMALL)
    done = script("train_detector", *given, f"hydra.run.dir={tmp_path}/run")
    assert done.status == 0, done.err
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} >= {"faces.onnx", "scores.json", "metrics.csv"}
    (rows,) = json.loads((run / "scores.json").read_text()).values()
    assert rows[0]["faces"] > 0
    score = yaml.safe_load((CONF / "detector/fkd.yaml").read_text())["score"]
    assert f"held-out photos, score {score}" in done.out
    own = ("detector=fkd", f"detector.model={run}/faces.onnx")
    found = script("predict", f"input={photos}/00a.png", *own, f"output={tmp_path}/found")
    assert found.status == 0, found.err

    last = f"ckpt={run}/checkpoints/last.ckpt"
    start = f"weights={run}/checkpoints/best.ckpt"
    better = script("train_detector", *given, f"hydra.run.dir={tmp_path}/better", start, "optimizer.lr=0")
    assert better.status == 0, better.err
    assert "mistakes of the initial net: " in better.err + better.out
    assert "mistakes of the initial net: " not in done.err + done.out
    first, second = (load(tmp_path / name / "checkpoints/best.ckpt") for name in ("run", "better"))
    assert all(torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))

    for change, message in (
        ("seed=0", "this training has ended; start a new one with weights="),
        ("trainer.max_epochs=5", "expected a training of 10 steps, as this one has, found 4"),
        ("model.net.head=4", "expected the net of this training, found another one"),
        (f"ckpt={run}/checkpoints/best.ckpt", "expected last.ckpt, found only weights; start a new one with weights="),
    ):
        refused = script("train_detector", *given, f"hydra.run.dir={tmp_path}/third", last, change)
        assert (refused.status, message in refused.err) == (2, True), refused.err
        assert not (tmp_path / "third").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("photos=5", "photos=5: expected a list"),
        ("photos=[]", "photos=[]: expected a list of folders"),
        ("photos=[a,a]", "expected a list of folders, each once"),
        (
            "photos=[nowhere]",
            "photos=nowhere: expected face_boxes.json with the boxes of all faces, found no",
        ),
        ("leave_out=party", "leave_out=party: expected a list"),
        ("leave_out=[lost/]", "leave_out=lost/: expected the start of a photo's path, found no photo of that name"),
        ("seed=-1", "seed: expected a whole number from 0 on"),
        ("mosaics.shares=1", "mosaics.shares"),
        ("mosaics.shares=[1]", "mosaics.shares=[1]: expected 2 numbers, the last for data"),
        ("mosaics.faces=9", "mosaics.faces"),
        ("mosaics.textures=x", "mosaics.textures: expected a number"),
        ("trainer.max_epochs=-1", "trainer.max_epochs: expected a whole number from 1 on"),
        ("validation=0", "validation: expected a whole number from 1 on"),
        ("detector=haar", "detector: expected detector=fkd without a model"),
        ("model.net._target_=torch.nn.Identity", "model.net"),
        ("weights=nowhere.ckpt", "weights=nowhere.ckpt: expected a file, found no such file"),
        ("ckpt=nowhere.ckpt", "ckpt=nowhere.ckpt: expected a file, found no such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    change: str, message: str, photos: Path, script: Callable[..., Outcome], tmp_path: Path
) -> None:
    given = () if change.startswith("photos") else (f"photos=[{photos}]",)
    done = script(
        "train_detector", *given, f"data.root={tmp_path}/data", *SMALL, change, f"hydra.run.dir={tmp_path}/run"
    )
    assert done.status == 2, done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (tmp_path / "run").exists()


def test_a_folder_without_held_out_photos_is_named(script: Callable[..., Outcome], tmp_path: Path) -> None:
    image, points = face(5, 0, 0, 96)
    (tmp_path / "one").mkdir()
    images.write(tmp_path / "one/a.png", image)
    (tmp_path / "one" / BOXES).write_text(json.dumps({"a.png": [[*square_around(points).tolist(), 0.9]]}))
    done = script("train_detector", f"photos=[{tmp_path}/one]", f"data.root={tmp_path}/data", *SMALL)
    assert done.status == 2
    assert "expected photos for training and, one in five by its name, for validation" in done.err


def test_an_interrupted_training_is_resumed(photos: Path, script: Callable[..., Outcome], tmp_path: Path) -> None:
    given = (f"photos=[{photos}]", f"data.root={tmp_path}/data", *SMALL)
    interrupts = "+callbacks.cut._target_=tests.detector_training.test_command.Cut"
    cut = script("train_detector", *given, f"hydra.run.dir={tmp_path}/cut", interrupts)
    assert cut.status == 1
    last = tmp_path / "cut/checkpoints/last.ckpt"
    assert f"the same command with ckpt={last} resumes it" in cut.err
    done = script("train_detector", *given, f"hydra.run.dir={tmp_path}/rest", f"ckpt={last}")
    assert done.status == 0, done.err
    steps = [
        torch.load(path, weights_only=True)["global_step"] for path in (last, tmp_path / "rest/checkpoints/last.ckpt")
    ]
    assert steps == [3, 4]
