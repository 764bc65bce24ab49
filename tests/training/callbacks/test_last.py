"""Where in a training a signal comes makes no difference to what is learned and logged."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog

from tests.conftest import Outcome
from tests.training.runs.killing import logged, same

Train = Callable[..., Outcome]


class Terminate(pl.Callback):
    """Sends SIGTERM to its own process, the first one, at one moment of the training."""

    def __init__(self, when: str, epoch: int, batch: int = 0) -> None:
        self.moment = (when, epoch, batch)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *rest: Any) -> None:
        self._compare(trainer, "batch", rest[-1])

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._compare(trainer, "validation", 0)

    def _compare(self, trainer: pl.Trainer, when: str, batch: int) -> None:
        if trainer.is_global_zero and (when, trainer.current_epoch, batch) == self.moment:
            os.kill(os.getpid(), signal.SIGTERM)


def terminated(when: str, epoch: int, batch: int = 0) -> list[str]:
    arguments = f"when: {when}, epoch: {epoch}, batch: {batch}"
    return [f"+callbacks.terminate={{_target_: {__name__}.Terminate, {arguments}}}"]


@pytest.fixture
def train(script: Callable[..., Outcome], faces_root: Path, tmp_path: Path) -> Train:
    """A small training of six batches in each of two epochs."""
    data = ["data=udacity", f"data.root={faces_root}", f"data.cache_dir={tmp_path}/cache", "data.num_workers=0"]
    small = ["model=naimish", "crop.size=64", "trainer=cpu", "trainer.max_epochs=2", "data.batch_size=4", "test=false"]
    return lambda *arguments: script("train", *data, *small, "augmentation=strong", *arguments)


@pytest.mark.parametrize(
    ("moment", "also"),
    [
        (("batch", 0, 2), []),
        (("batch", 0, 4), []),  # the last one of the epoch
        (("validation", 0), []),
        (("batch", 1, 4), []),  # the last one of all
        (("validation", 1), []),
        (("batch", 1, 2), ["+trainer.accumulate_grad_batches=2"]),  # in the middle of a step
        (("batch", 1, 2), ["callbacks=ema"]),
        (("batch", 1, 1), ["debug=overfit", "trainer.max_epochs=2", "overfit.passes=2", "data.batch_size=4"]),
    ],
    ids=str,
)
def test_a_signal_changes_nothing(train: Train, script: Train, moment: tuple[Any, ...], also: list[str]) -> None:
    assert train(*also, "hydra.run.dir=whole").status == 0
    outcome = train(*also, *terminated(*moment), "hydra.run.dir=cut")
    assert outcome.status == 1, outcome.err
    assert outcome.err.strip().splitlines()[-1].startswith("error: interrupted by SIGTERM ")
    assert json.loads(Path("cut/result.json").read_text())["status"].startswith("stopped: interrupted by SIGTERM ")
    outcome = script("train", "resume=cut", "callbacks.terminate=null")
    assert outcome.status == 0, outcome.err
    assert json.loads(Path("cut/result.json").read_text())["status"] == "done"
    assert same(Path("whole"), Path("cut")) == []
    assert [Path(run, "metrics.csv").read_bytes().count(b"\r\n") for run in ("cut", "whole")] == [
        Path("whole", "metrics.csv").read_bytes().count(b"\n")
    ] * 2


def test_a_validation_that_is_due_is_not_lost(train: Train, script: Train) -> None:
    assert train("+trainer.val_check_interval=2", "hydra.run.dir=whole").status == 0
    train("+trainer.val_check_interval=2", *terminated("batch", 1, 1), "hydra.run.dir=cut")
    assert script("train", "resume=cut", "callbacks.terminate=null").status == 0
    losses = [[row["val/loss"] for row in logged(Path(run, "metrics.csv"))] for run in ("whole", "cut")]
    assert losses[0] == losses[1]
    assert len(list(filter(None, losses[0]))) == 6


def test_in_the_middle_of_an_epoch_nothing_may_change_that_its_order_depends_on(train: Train) -> None:
    """Another run, which may learn something else, begins where this one was cut."""
    train(*terminated("batch", 1, 2), "hydra.run.dir=cut")
    for key, then, now in (("data.batch_size", 4, 3), ("seed", 0, 1)):
        outcome = train("ckpt_path=cut/checkpoints/last.ckpt", "hydra.run.dir=more", f"{key}={now}")
        assert outcome.status == 2
        said = f"{key}: expected {then}, since the training was interrupted in the middle of an epoch, found {now}"
        assert said in outcome.err


def test_tensorboard_is_told_to_drop_what_will_be_logged_again(train: Train, script: Train) -> None:
    train(*terminated("batch", 1, 2), "hydra.run.dir=cut")
    before = set(Path("cut/tensorboard").glob("events*"))
    script("train", "resume=cut", "callbacks.terminate=null")
    new = set(Path("cut/tensorboard").glob("events*")) - before
    events = [event for path in new for event in EventFileLoader(str(path)).Load()]
    restarts = [event.step for event in events if event.session_log.status == SessionLog.START]
    assert restarts == [6 + 3]  # steps that were done
