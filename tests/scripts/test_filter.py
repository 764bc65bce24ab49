"""scripts/filter.py as a user runs it, with a stand-in that finds one face on every image."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fkd.cli.command import CONF
from fkd.inference.predictor import Found
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
    """Mean change (H, W) of the image."""
    image = images.read(path, 3)
    assert image.shape == PHOTO.shape
    return np.abs(image.astype(int) - PHOTO).mean(axis=2)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "filter").glob("*.yaml")))
def test_every_filter_changes_the_face_and_leaves_the_rest(script: Script, on_a_face: StandIn, name: str) -> None:
    outcome = script("filter", "ckpt=x", "input=face.png", "output=out", f"filter={name}")
    assert outcome.status == 0, outcome.err
    assert "1 image, 1 face" in outcome.out
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


def unhidden(output: str = "out") -> list[dict[str, object]]:
    content: list[dict[str, object]] = json.loads((Path(output) / "unhidden.json").read_text())
    return content


def test_images_that_may_show_faces_are_listed_and_the_status_says_so(script: Script, on_a_face: StandIn) -> None:
    """The stand-in finds nothing on a black image."""
    for name in ("a", "b/c", "d"):
        Path(f"in/{name}.png").parent.mkdir(parents=True, exist_ok=True)
        images.write(f"in/{name}.png", PHOTO if name == "d" else np.zeros_like(PHOTO))
    outcome = script("filter", "ckpt=x", "input=in", "output=out", "filter=blur")
    assert outcome.status == 3
    assert on_a_face.options["hiding"] is True
    assert outcome.err.splitlines()[-1] == (
        "error: 2 of 3 images may show faces: no sure one was found on them; out/unhidden.json lists them, "
        "look at each before you pass it on"
    )
    assert unhidden() == [{"image": "a.png"}, {"image": "b/c.png"}]
    assert {path.name for path in Path("out").rglob("*.png")} == {"a.png", "c.png", "d.png"}

    allowed = script("filter", "ckpt=x", "input=in", "output=out", "filter=blur", "allow_unhidden=true")
    assert allowed.status == 0, allowed.err
    assert "2 of 3 images may show faces" in allowed.out
    assert len(unhidden()) == 2

    assert script("filter", "ckpt=x", "input=in/d.png", "output=out", "filter=blur").status == 0
    assert unhidden() == []


def test_filters_that_hide_nothing_end_as_before(script: Script, on_a_face: StandIn) -> None:
    images.write("black.png", np.zeros_like(PHOTO))
    assert script("filter", "ckpt=x", "input=black.png", "output=out", "filter=hat").status == 0
    assert on_a_face.options["hiding"] is False
    assert not Path("out/unhidden.json").exists()


def test_a_image_that_may_show_faces_weighs_more_than_one_that_cannot_be_read(
    script: Script, on_a_face: StandIn
) -> None:
    Path("in").mkdir()
    Path("in/broken.png").write_bytes(b"no image")
    images.write("in/black.png", np.zeros_like(PHOTO))
    outcome = script("filter", "ckpt=x", "input=in", "output=out", "filter=blur")
    assert outcome.status == 3
    assert "in/broken.png: expected an image" in outcome.err.splitlines()[-2]
    assert "1 of 1 images may show faces" in outcome.err.splitlines()[-1]
    assert script("filter", "ckpt=x", "input=in", "output=out", "filter=blur", "allow_unhidden=true").status == 2


def test_an_interrupt_leaves_the_list_of_what_was_written(script: Script, on_a_face: StandIn) -> None:
    Path("in").mkdir()
    for i in range(9):
        images.write(f"in/{i}.png", np.zeros_like(PHOTO))
    Path("out").mkdir()
    Path("out/unhidden.json").write_text("[]")
    on_a_face.before = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 4 else None
    outcome = script("filter", "ckpt=x", "input=in", "output=out", "filter=blur")
    assert outcome.status == 1
    assert "5 of 5 images may show faces" in outcome.out
    assert [entry["image"] for entry in unhidden()] == [f"{i}.png" for i in range(5)]


def test_the_end_of_a_camera_is_no_interruption(
    script: Script, on_a_face: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoWriter(Path("clip.avi"), 10) as writer:
        for _ in range(20):
            writer.write(np.zeros_like(PHOTO))
    monkeypatch.setattr("fkd.io.video._open_camera", lambda number: cv2.VideoCapture("clip.avi"))
    on_a_face.before = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 4 else None
    outcome = script("filter", "ckpt=x", "input=0", "output=out", "filter=blur")
    assert outcome.status == 3
    assert "5 of 5 frames may show faces" in outcome.err


@pytest.mark.parametrize("smooth", ["true", "false"])
def test_a_face_that_a_video_loses_for_some_frames_stays_hidden(
    script: Script, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, smooth: str
) -> None:
    """A face that moves over noise, is found late, lost for two frames, and lost for good long before the end."""
    lost, count, fps = {0, 1, 8, 9, *range(12, 30)}, 30, 10
    noise = np.random.default_rng(0).integers(0, 256, (200, 320, 3), np.uint8)

    def stream(frames):
        for number, frame in enumerate(frames):
            points = POINTS + np.float32([4 * number, 10])
            box = np.float32([20 + 4 * number, 30, 140 + 4 * number, 150])
            yield Found(frame, [] if number in lost else [Face(IBUG68, box, 1.0, points)], None)

    monkeypatch.setattr(stand_in, "stream", stream)
    with VideoWriter(Path("clip.avi"), fps) as writer:
        for _ in range(count):
            writer.write(noise)
    arguments = ("ckpt=x", "input=clip.avi", "output=out", "filter=blur", f"smooth={smooth}")
    outcome = script("filter", *arguments)
    assert outcome.status == 3
    shown = list(VideoReader(Path("out/clip.avi")))
    assert len(shown) == count
    for number in range(14):
        x, y = (POINTS[30] + [4 * number, 10]).round().astype(int)
        assert shown[number][y - 10 : y + 11, x - 10 : x + 11].std(axis=(0, 1)).max() < 20, number
    assert unhidden() == [{"image": "clip.avi", "frame": frame} for frame in range(17, count)]  # half a second later
    assert "13 of 30 frames may show faces" in outcome.err


def test_a_filter_of_ones_own_is_a_image_and_a_file(
    script: Script, on_a_face: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A green disc on the right eye, from a conf/ folder with one more option."""
    shutil.copytree(CONF, "conf")
    disc = np.zeros((64, 64, 4), np.uint8)
    disc[16:48, 16:48] = (0, 255, 0, 255)
    images.write("conf/filter/monocle.png", disc)
    Path("conf/filter/monocle.yaml").write_text(
        "_target_: fkd.filters.Filter\nlayers:\n  monocle:\n    _target_: fkd.filters.Sticker\n"
        "    image: ${conf:filter/monocle.png}\n"
        "    anchors: {right_eye: [31.5, 31.5], 36: [16, 31.5], 39: [47, 31.5]}\n    warp: similarity\n    order: 1\n"
    )
    for module in ("cli.command", "config.project"):
        monkeypatch.setattr(f"fkd.{module}.CONF", Path("conf").absolute())
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
        (("filter.layers.sunglasses.image=no.png",), "no.png: expected an image, found no such file"),
        (("filter.layers.sunglasses.warp=bend",), "expected warp=similarity|affine|homography, found 'bend'"),
        (
            ("~filter.layers.sunglasses.order",),
            "filter.layers.sunglasses: expected order, which fkd.filters.Sticker needs",
        ),
        (("filter.layers.sunglasses.order=top",), "order: expected a finite number, found 'top'"),
        (
            ("+filter.layers.sunglasses.anchors.ear=[1,2]",),
            "anchor ear: expected a keypoint",
        ),
        (("filter=blur", "allow_unhidden=maybe"), "allow_unhidden: expected true or false, found 'maybe'"),
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
