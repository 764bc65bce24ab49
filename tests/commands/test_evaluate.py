"""`fkd evaluate`: its data and its folder; the scores are tested in tests/scripts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import fkd
from fkd import weights
from tests.conftest import Outcome
from tests.scripts.test_scripts import FAST, on

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


def test_its_folder_is_output_as_that_of_other_commands(photos: Path, script: Script) -> None:
    data = ("data=pts", f"data.root={photos}", "data.train=[]", "data.val=[val]", "data.test=[test]")
    for place in ("output=scores", "hydra.run.dir=run", f"output={photos.parent}/a=b, c"):
        outcome = script("evaluate", "ckpt=synthetic", *data, place)
        folder = Path(place.partition("=")[2]).expanduser()
        assert outcome.status == 0, outcome.err
        assert {"metrics.json", "ced.png", ".hydra"} <= {path.name for path in folder.iterdir()}
        assert f"{folder}/metrics.json" in outcome.out
    outcome = script("evaluate", "ckpt=synthetic", *data, "output=")
    assert outcome.status == 2
    assert outcome.err == "error: output: expected the name of a file or folder, found ''\n"


@pytest.mark.parametrize(
    ("trained", "is_said"),
    [
        ({"name": "mine"}, True),
        ({"name": "pts"}, False),
        ({"name": "mix", "sources": {"a": {"name": "mine"}, "b": {"name": "pts"}}}, False),
        ({"name": "mix", "sources": {"a": {"name": "mine"}}}, True),
        ({}, False),
    ],
)
def test_that_a_net_was_trained_on_other_data_is_said_in_one_line(
    trained: dict[str, object], is_said: bool, photos: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = fkd.load

    def trained_on(path: Path, **options: Any) -> Any:
        predictor = load(path, **options)
        predictor.net.config = {"data": trained}
        return predictor

    monkeypatch.setattr(fkd, "load", trained_on)
    data = ("data=pts", f"data.root={photos}", "data.train=[]", "data.val=[val]", "data.test=[test]")
    outcome = script("evaluate", "ckpt=synthetic", *data, "output=scores")
    assert outcome.status == 0, outcome.err
    said = [line for line in outcome.out.splitlines() if "trained on data=" in line]
    name = trained.get("name")
    assert said == [f"the net was trained on data={name}; data=pts is other data"] * is_said


def test_the_detector_is_the_nets_own_unless_one_is_given(script: Script, faces_root: Path) -> None:
    assert script("train", *on(faces_root), *FAST, "detector=whole_image", "hydra.run.dir=run").status == 0
    own = Path("run/checkpoints/best.ckpt")
    for boxes in ("jitter", "detector"):
        scores = []
        for more in ([], ["detector=whole_image"]):
            folder = fkd.evaluate(own, [*on(faces_root), f"boxes={boxes}", *more, f"output={boxes}{len(more)}"]).folder
            scores.append(json.loads((folder / "metrics.json").read_text()))
            record = json.loads((folder / "evaluation.json").read_text())
            assert record["detector"]["_target_"] == "fkd.detect.WholeImage"
        assert scores[0] == scores[1]
        outcome = script("evaluate", f"ckpt=[{own},{weights.exported(None)}]", *on(faces_root), f"boxes={boxes}")
        assert outcome.status == 2
        assert outcome.err.startswith(f"error: boxes={boxes}: expected nets that were trained for one detector, found")
        assert "give detector=NAME" in outcome.err
    both = (f"ckpt=[{own},{weights.exported(None)}]", "boxes=jitter", "detector=whole_image", "output=both")
    assert script("evaluate", *on(faces_root), *both).status == 0


def test_the_squares_around_the_points_need_no_detector(script: Script, faces_root: Path, tmp_path: Path) -> None:
    """The file tells a detector that this version cannot build."""
    model = onnx.load(weights.exported(None))
    (entry,) = (each for each in model.metadata_props if each.key == "fkd")
    content = json.loads(entry.value)
    content["detector"]["mirrored"] = True
    entry.value = json.dumps(content)
    onnx.save(model, tmp_path / "old.onnx")
    for boxes, status in (("keypoints", 0), ("jitter", 2)):
        outcome = script("evaluate", f"ckpt={tmp_path}/old.onnx", *on(faces_root), f"boxes={boxes}", f"output={boxes}")
        assert outcome.status == status, outcome.err


def test_that_a_detector_has_no_effect_on_the_squares_around_the_points_is_said(
    script: Script, faces_root: Path
) -> None:
    for boxes, is_said in (("keypoints", True), ("jitter", False)):
        outcome = script("evaluate", *on(faces_root), f"boxes={boxes}", "detector=haar", f"output={boxes}")
        assert outcome.status == 0, outcome.err
        assert ("boxes=keypoints: detector= has no effect" in outcome.out) == is_said
