"""scripts/filter.py as a user runs it, with a stand-in that finds one face on every picture."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd.cli.command import CONF
from fkd.io import images
from fkd.io.video import VideoReader, VideoWriter
from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.types import Face
from tests.conftest import Outcome, StandIn

Script = Callable[..., Outcome]
PHOTO, POINTS = face(2, 1, 0, 160)


@pytest.fixture
def on_a_face(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in finds the true points of the one face it is shown."""
    monkeypatch.setattr(stand_in, "face", lambda pixels: Face(IBUG68, np.float32([20, 20, 140, 140]), 1.0, POINTS))
    images.write("face.png", PHOTO)
    return stand_in


def changed(path: str) -> np.ndarray:
    """Mean change (H, W) of the picture."""
    picture = images.read(path, 3)
    assert picture.shape == PHOTO.shape
    return np.abs(picture.astype(int) - PHOTO).mean(axis=2)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "filter").glob("*.yaml")))
def test_every_filter_changes_the_face_and_leaves_the_rest(script: Script, on_a_face: StandIn, name: str) -> None:
    outcome = script("filter", "ckpt=x", "input=face.png", "output=out", f"filter={name}")
    assert outcome.status == 0, outcome.err
    assert "1 picture, 1 face" in outcome.out
    change = changed("out/face.png")
    assert change.max() > 30
    assert (change == 0).mean() > 0.3


def test_filters_combine_and_their_layers_keep_their_order(script: Script, on_a_face: StandIn) -> None:
    for name, choice in (("a", "hat"), ("b", "moustache"), ("both", "[moustache,hat]")):
        assert script("filter", "ckpt=x", "input=face.png", f"output={name}", f"filter={choice}").status == 0
    worn = (changed("a/face.png") > 0) | (changed("b/face.png") > 0)
    np.testing.assert_array_equal(changed("both/face.png") > 0, worn)


def test_eyes_alone_can_be_hidden(script: Script, on_a_face: StandIn) -> None:
    script("filter", "ckpt=x", "input=face.png", "output=out", "filter=blur", "filter.layers.blur.part=eyes")
    change = changed("out/face.png")
    eyes, chin = POINTS[36:48].mean(axis=0).round().astype(int), POINTS[8].round().astype(int)
    assert change[eyes[1] - 4 : eyes[1] + 5, eyes[0] - 25 : eyes[0] + 25].mean() > 3
    assert change[chin[1], chin[0]] == 0


def test_a_video_wears_the_filter_on_every_frame(script: Script, on_a_face: StandIn) -> None:
    with VideoWriter(Path("clip.mp4"), 10) as writer:
        for _ in range(3):
            writer.write(PHOTO)
    assert script("filter", "ckpt=x", "input=clip.mp4", "output=out").status == 0
    assert len(list(VideoReader(Path("out/clip.mp4")))) == 3


def test_a_filter_of_ones_own_is_a_picture_and_a_file(
    script: Script, on_a_face: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A green disc on the right eye, from a conf/ folder with one more option."""
    shutil.copytree(CONF, "conf")
    disc = np.zeros((64, 64, 4), np.uint8)
    disc[16:48, 16:48] = (0, 255, 0, 255)
    images.write("conf/filter/monocle.png", disc)
    Path("conf/filter/monocle.yaml").write_text(
        "_target_: fkd.filters.Filter\nlayers:\n  monocle:\n    _target_: fkd.filters.Sticker\n"
        "    picture: ${conf:filter/monocle.png}\n"
        "    anchors: {right_eye: [31.5, 31.5], 36: [16, 31.5], 39: [47, 31.5]}\n    warp: similarity\n    order: 1\n"
    )
    monkeypatch.setattr("fkd.cli.command.CONF", Path("conf").absolute())
    outcome = script("filter", "ckpt=x", "input=face.png", "output=out", "filter=monocle")
    assert outcome.status == 0, outcome.err
    x, y = POINTS[36:42].mean(axis=0).round().astype(int)
    assert tuple(images.read("out/face.png", 3)[y, x]) == (0, 255, 0)


def test_a_slip_in_a_file_of_ones_own_is_said_by_its_line(
    script: Script, on_a_face: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONF, "conf")
    Path("conf/filter/mine.yaml").write_text("_target_: fkd.filters.Filter\nlayers\n  mine:\n    order: 1\n")
    monkeypatch.setattr("fkd.cli.command.CONF", Path("conf").absolute())
    outcome = script("filter", "ckpt=x", "input=face.png", "output=out", "filter=mine")
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert "filter/mine.yaml" in outcome.err
    assert " line 3: expected YAML" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("filter=hatt",), "filter=hatt: no such option; did you mean hat?"),
        (("filter=[]",), "filter: expected a config with a _target_, found None"),
        (("filter=[hat,crown]",), "filter=crown: no such option"),
        (("filter.layers.sunglasses.picture=no.png",), "no.png: expected a picture, found no such file"),
        (("filter.layers.sunglasses.warp=bend",), "expected warp=similarity|affine|homography, found 'bend'"),
        (("filter.layers.sunglasses.order=top",), "order: expected a finite number, found 'top'"),
        (
            ("+filter.layers.sunglasses.anchors.ear=[1,2]",),
            "anchor ear: expected a keypoint",
        ),
        (("input=none.png",), "input=none.png: expected a photo, folder, glob, video"),
    ],
)
def test_wrong_filters_are_one_line_and_nothing_is_written(
    script: Script, on_a_face: StandIn, arguments: tuple[str, ...], expected: str
) -> None:
    outcome = script("filter", "ckpt=x", "input=face.png", "output=out", *arguments)
    assert outcome.status == 2
    assert expected in outcome.err.splitlines()[-1]
    assert outcome.err.count("error:") == 1
    assert not list(Path().glob("out/*"))
