"""`fkd evaluate`: its data and its folder; the scores are tested in tests/scripts."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome

Script = Callable[..., Outcome]


@pytest.fixture
def photos(tmp_path: Path, shared: Path) -> Path:
    """A set whose validation photo is no photo, and with a good photo for the test."""
    for split, name in (("val", "indoor_020"), ("test", "indoor_029")):
        (tmp_path / "set" / split).mkdir(parents=True)
        for suffix in ("png", "pts"):
            shutil.copy(shared / f"data/300w/{name}.{suffix}", tmp_path / "set" / split)
    (tmp_path / "set/val/indoor_020.png").write_bytes(b"no photo")
    return tmp_path / "set"


def test_only_the_photos_of_the_scored_split_are_read(photos: Path, script: Script) -> None:
    data = ("data=pts", f"data.root={photos}", "data.train=[]", "data.val=[val]", "data.test=[test]")
    outcome = script("evaluate", "ckpt=synthetic", *data, "hydra.run.dir=scores")
    assert outcome.status == 0, outcome.err
    assert Path("scores/metrics.json").is_file()
    outcome = script("evaluate", "ckpt=synthetic", *data, "subset=all", "hydra.run.dir=all")
    assert outcome.status == 2
    assert "indoor_020.png" in outcome.err
