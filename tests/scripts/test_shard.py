"""From a data set to shards, and from them to a net, on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome
from tests.training.callbacks.test_last import terminated
from tests.training.runs.killing import same

Script = Callable[..., Outcome]


@pytest.fixture
def source(faces_root: Path) -> tuple[str, ...]:
    return ("data=udacity", f"data.root={faces_root}", "data.cache_dir=cache")


@pytest.fixture
def train(script: Script, source: tuple[str, ...]) -> Callable[..., Outcome]:
    """A small training on shards: six batches in each of two epochs."""
    assert script("shard", *source, "output=shards", "size=5").status == 0
    data = ["data=shards", "data.root=shards", "data.buffer=8", "data.num_workers=0", "data.batch_size=4"]
    small = ["model=naimish", "crop.size=64", "trainer=cpu", "trainer.max_epochs=2", "augmentation=strong"]
    return lambda *arguments: script("train", *data, *small, *arguments)


def test_a_training_on_shards_that_was_cut_in_an_epoch_ends_as_if_it_had_not_been(
    train: Callable[..., Outcome],
) -> None:
    assert train("hydra.run.dir=whole", "test=false").status == 0
    outcome = train("hydra.run.dir=cut", "test=false", *terminated("batch", 0, 2))
    assert outcome.status == 1
    assert "interrupted by SIGTERM" in outcome.err
    outcome = train("hydra.run.dir=cut", "test=false", "ckpt_path=last")
    assert outcome.status == 0, outcome.err
    assert same(Path("whole"), Path("cut")) == []


def test_scores_on_shards_are_those_on_their_source(
    train: Callable[..., Outcome], script: Script, source: tuple[str, ...]
) -> None:
    outcome = train("hydra.run.dir=run", "trainer.max_epochs=1")
    assert outcome.status == 0, outcome.err
    assert "40 images of data=udacity in 9 shards, as raw" in outcome.out
    found = []
    for name, data in (("a", source), ("b", ("data=shards", "data.root=shards"))):
        outcome = script("evaluate", "ckpt=run/checkpoints/best.ckpt", *data, "subset=val", f"hydra.run.dir={name}")
        assert outcome.status == 0, outcome.err
        found.append(json.loads(Path(name, "metrics.json").read_text()))
    assert found[0] == found[1]


def test_the_script_says_what_it_wrote_and_refuses_what_is_there(script: Script, source: tuple[str, ...]) -> None:
    outcome = script("shard", *source, "output=shards", "encoding=jpeg", "channels=3")
    assert outcome.status == 0
    assert "40 faces on 40 images" in outcome.out
    assert "fkd train data=shards data.root=shards channels=3" in outcome.out
    outcome = script("shard", *source, "output=shards")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: output=shards: expected an empty folder, found shards")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("size=0", "size: expected a whole number from 1 on"),
        ("encoding=gif", "encoding=gif: expected one of raw, png, jpeg"),
        ("quality=101", "quality=101: expected a whole number from 1 to 100"),
        ("seed=-1", "seed: expected a whole number from 0 on"),
        ("output=''", "output: expected the name of a file or folder"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    script: Script, source: tuple[str, ...], argument: str, said: str
) -> None:
    outcome = script("shard", *source, "output=shards", argument)
    assert outcome.status == 2
    assert said in outcome.err
    assert not Path("shards").exists()
