"""What a net was trained on is known again by its images, whatever they are called; what cannot be known is not 0."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fkd.data.split import among
from tests.conftest import Outcome
from tests.evaluation.test_one_file import labelled

Script = Callable[..., Outcome]
QUICK = ("trainer=debug", "scheduler=none", "crop.size=32", "data.batch_size=3", "data.num_workers=0", "test=false")
CHECKPOINT = Path("run/checkpoints/best.ckpt")


def on(root: Path, *changes: str) -> tuple[str, ...]:
    return ("data=pts", f"data.root={root}", "data.cache_dir=cache", *changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images to train on in `set/learned`, and others in `set/others`."""
    labelled(tmp_path / "all", 12)
    for name, numbers in {"learned": range(8), "others": range(8, 12)}.items():
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        for number in numbers:
            for file in (tmp_path / "all").glob(f"{number}.*"):
                shutil.move(file, folder)
    return tmp_path / "set"


@pytest.fixture
def trained(script: Script, root: Path) -> Path:
    """The checkpoint of a net that has learned from six of `learned`, the other two being for validation."""
    given = on(root, "data.train=[learned]", "data.test=[others]", "data.val_share=0.25")
    outcome = script("train", *given, *QUICK, "hydra.run.dir=run")
    assert outcome.status == 0, outcome.err
    return CHECKPOINT


def scored(script: Script, *given: str) -> tuple[dict[str, Any], str]:
    """metrics.json of an evaluation, and what the printed table says of subjects in training."""
    outcome = script("evaluate", *given, "hydra.run.dir=scores")
    assert outcome.status == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if "of them in the net's training" in line]
    net, mean_shape = (cell.strip() for cell in line.split("│")[2:4])
    assert net == mean_shape
    return json.loads(Path("scores/metrics.json").read_text()), net


def without_hashes(checkpoint: Path) -> str:
    """As a version wrote it that kept none."""
    content = torch.load(checkpoint, weights_only=True)
    del content["image_hashes"]
    torch.save(content, "old.ckpt")
    return "ckpt=old.ckpt"


def alone(root: Path, folder: str) -> tuple[str, ...]:
    return on(root, "data.train=null", "data.val=null", f"data.test=[{folder}]")


def test_the_same_images_below_another_root_are_known(script: Script, root: Path, trained: Path) -> None:
    for given in (alone(root, "learned"), alone(root / "learned", "."), alone(root.parent, "set/learned")):
        metrics, said = scored(script, f"ckpt={trained}", *given)
        assert (metrics["subjects"], metrics["subjects_in_training"], said) == (8, 6, "6")


def test_copies_of_other_names_are_known_and_others_are_not(script: Script, root: Path, trained: Path) -> None:
    metrics, said = scored(script, f"ckpt={trained}", *alone(root / "others", "."))
    assert (metrics["subjects_in_training"], said) == (0, "0")
    for file in (root / "learned").iterdir():
        shutil.copy(file, root / "others" / f"copy{file.name}")
    metrics, said = scored(script, f"ckpt={trained}", *alone(root / "others", "."))
    assert (metrics["subjects"], metrics["subjects_in_training"], said) == (12, 6, "6")


def test_a_net_that_kept_no_hashes_is_not_said_to_know_nobody(script: Script, root: Path, trained: Path) -> None:
    old = without_hashes(trained)
    for given in (alone(root / "learned", "."), alone(root, "others")):
        metrics, said = scored(script, old, *given)
        assert (metrics["subjects_in_training"], said) == (None, "unknown")
    metrics, said = scored(script, old, *alone(root, "learned"))  # by their names
    assert (metrics["subjects_in_training"], said) == (6, "6")


@pytest.mark.parametrize(
    ("name", "known"), [("wild", (0, "0")), ("synthetic", (0, "0")), ("udacity", (None, "unknown"))]
)
def test_of_a_net_without_hashes_nothing_is_known(
    script: Script, root: Path, name: str, known: tuple[int | None, str]
) -> None:
    metrics, said = scored(script, f"ckpt={name}", *alone(root, "learned"))
    assert (metrics["subjects_in_training"], said) == known


def test_the_rest_of_the_training_is_known_too(script: Script, root: Path, trained: Path) -> None:
    """Of a net that is trained on with other images, by `weights` or by `ckpt_path`."""
    given = on(root, "data.train=[others]", "data.test=[learned]", "data.val_share=0.25", *QUICK)
    for key, path in (("weights", trained), ("ckpt_path", trained.with_name("last.ckpt"))):
        outcome = script("train", *given, f"{key}={path}", "trainer.max_epochs=2", "hydra.run.dir=more")
        assert outcome.status == 0, outcome.err
        for folder, count in {"learned": 6, "others": 3}.items():
            metrics, _ = scored(script, "ckpt=more/checkpoints/last.ckpt", *alone(root / folder, "."))
            assert metrics["subjects_in_training"] == count
        shutil.rmtree("more")


def test_a_training_that_goes_on_from_a_net_without_hashes_has_its_own(
    script: Script, root: Path, trained: Path
) -> None:
    last = trained.with_name("last.ckpt")
    content = torch.load(last, weights_only=True)
    assert content.pop("image_hashes").shape == (6,)
    torch.save(content, last)
    given = on(root, "data.train=[learned]", "data.test=[others]", "data.val_share=0.25", *QUICK)
    outcome = script("train", *given, f"ckpt_path={last}", "trainer.max_epochs=2", "hydra.run.dir=more")
    assert outcome.status == 0, outcome.err
    for folder, count in {"learned": 6, "others": None}.items():
        metrics, _ = scored(script, "ckpt=more/checkpoints/last.ckpt", *alone(root / folder, "."))
        assert metrics["subjects_in_training"] == count


def test_shards_are_known_as_the_files_that_they_were_made_of(script: Script, root: Path, trained: Path) -> None:
    outcome = script("shard", *alone(root / "learned", "."), "output=shards", "encoding=jpeg")
    assert outcome.status == 0, outcome.err
    shards = ("data=shards", "data.root=shards")
    metrics, said = scored(script, f"ckpt={trained}", *shards)
    assert (metrics["subjects_in_training"], said) == (6, "6")
    index = json.loads(Path("shards/index.json").read_text())
    del index["table"]["image_hashes"]  # as a version wrote them that kept none
    Path("shards/index.json").write_text(json.dumps(index))
    metrics, said = scored(script, f"ckpt={trained}", *shards)
    assert (metrics["subjects_in_training"], said) == (None, "unknown")


def test_a_set_is_looked_at_with_a_net_that_learned_from_it(
    script: Script, root: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("fkd.commands.explore.examine", lambda *given: asked.append(given) or [])
    outcome = script("explore", *alone(root / "learned", "."), "output=out", "faces=1", f"ckpt={trained}")
    assert outcome.status == 0, outcome.err
    faces, _, _, subjects = asked[0]
    assert among(faces.table.subjects, subjects).sum() == 6
