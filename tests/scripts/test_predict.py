"""scripts/predict.py as a user runs it. Where the net is not the point, a stand-in finds one face on every image."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd.io import images
from fkd.io.video import VideoReader, VideoWriter
from fkd.synthetic import face as draw_face
from tests.conftest import SHAPE, Outcome, StandIn

Script = Callable[..., Outcome]


def photo(path: str, width: int = 80, height: int = 60, value: int = 120) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.full((height, width, 3), value, np.uint8))


def clip(path: str, frames: int, value: int = 120) -> None:
    with VideoWriter(Path(path), 10) as writer:
        for _ in range(frames):
            writer.write(np.full((96, 128, 3), value, np.uint8))


def entries(output: str = "out") -> list[dict]:
    content: list[dict] = json.loads((Path(output) / "predictions.json").read_text())
    return content


def files(output: str = "out") -> set[str]:
    return {path.relative_to(output).as_posix() for path in Path(output).rglob("*") if path.is_file()}


def magenta(image: np.ndarray) -> int:
    """Pixels with more red and blue than green; points on a grey photo have it, also half transparent ones."""
    red, green, blue = np.moveaxis(image.astype(int), -1, 0)
    return int((np.minimum(red, blue) > green + 60).sum())


def test_a_folder_leaves_predictions_and_a_image_for_each(script: Script, stand_in: StandIn) -> None:
    photo("in/a.png")
    photo("in/sub/b.png", 200, 100)
    photo("in/c.png", value=0)
    outcome = script("predict", "ckpt=net.ckpt", "input=in", "output=out", "flip=true", "device=cpu")
    assert outcome.status == 0, outcome.err
    assert [(entry["image"], entry["width"], entry["height"], len(entry["faces"])) for entry in entries()] == [
        ("a.png", 80, 60, 1),
        ("c.png", 80, 60, 0),
        ("sub/b.png", 200, 100, 1),
    ]
    (found,) = entries()[0]["faces"]
    np.testing.assert_allclose(found["box"], [25, 15, 55, 45])
    np.testing.assert_allclose(found["keypoints"], [25, 15] + 30 * SHAPE, atol=1e-3)
    assert files() == {"predictions.json", "a.png", "sub/b.png", "c.png"}
    assert magenta(images.read("out/sub/b.png", 3)) > 30
    assert images.read("out/c.png", 3).max() == 0
    done, without = outcome.out.splitlines()[-2:]
    assert done.startswith("in out: 3 images, 2 faces, 1 image without a face; ")
    assert without == "no face found: c.png"
    expected = {"path": Path("net.ckpt"), "detector": None, "device": "cpu", "flip": True, "max_pixels": 100_000_000}
    expected["hiding"] = False
    assert stand_in.options == expected


@pytest.mark.parametrize("name", ["predict", "filter"])
def test_several_photos_in_one_command_leave_a_result_for_each(script: Script, stand_in: StandIn, name: str) -> None:
    for path in ("one/a.png", "two/a.png", "two/b, (1).png"):
        photo(path)
    outcome = script(name, "one/a.png", "two/a.png", "output=out", "two/b, (1).png")
    assert outcome.status == 0, outcome.err
    assert files() - {"predictions.json"} == {"one/a.png", "two/a.png", "two/b, (1).png"}


def test_tables_and_point_files_come_on_request_and_images_can_be_left_out(script: Script, stand_in: StandIn) -> None:
    photo("in/a.png")
    photo("in/b.png", value=0)
    outcome = script("predict", "ckpt=x", "input=in/*.png", "output=out", "images=false", "csv=true", "pts=true")
    assert outcome.status == 0, outcome.err
    assert files() == {"predictions.json", "predictions.csv", "a.pts"}
    with Path("out/predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["image"], row["frame"], row["face"]) == ("a.png", "", "0")


def test_broken_files_are_named_at_the_end_and_the_rest_is_done(script: Script, stand_in: StandIn) -> None:
    photo("in/a.png")
    photo("in/z.png")
    for i in range(23):
        Path(f"in/broken{i:02d}.jpg").write_bytes(b"no image")
    outcome = script("predict", "ckpt=x", "input=in", "output=out")
    assert outcome.status == 2
    assert [entry["image"] for entry in entries()] == ["a.png", "z.png"]
    assert files() == {"predictions.json", "failed.txt", "a.png", "z.png"}
    reasons = Path("out/failed.txt").read_text().splitlines()
    assert len(reasons) == 23
    assert all(line.startswith(f"in/broken{i:02d}.jpg: expected an image") for i, line in enumerate(reasons))
    shown = outcome.err.splitlines()
    assert shown[-22:-2] == reasons[:20]
    assert shown[-2] == "... and 3 more"
    assert shown[-1] == "error: 23 images failed, the others are done; all reasons are in out/failed.txt"

    for path in Path("in").glob("broken*"):
        path.unlink()
    assert script("predict", "ckpt=x", "input=in", "output=out").status == 0
    assert "failed.txt" not in files()


def test_images_without_a_face_are_named(script: Script, stand_in: StandIn) -> None:
    for i in range(30):
        photo(f"in/{i:02}.png", value=0 if i else 120)
    outcome = script("predict", "ckpt=x", "input=in", "output=out")
    assert "29 images without a face" in outcome.out
    assert "no face found: 01.png, 02.png, " in outcome.out
    assert "20.png, and 9 more" in outcome.out


@pytest.mark.parametrize("command", [("predict", "csv=true"), ("filter", "filter=hat"), ("filter", "filter=blur")])
def test_one_broken_photo_is_one_line_and_leaves_nothing(
    script: Script, stand_in: StandIn, command: tuple[str, ...]
) -> None:
    Path("a.jpg").write_bytes(b"no image")
    outcome = script(*command, "ckpt=x", "input=a.jpg", "output=out/new")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: a.jpg: expected an image")
    assert outcome.out == ""
    assert not Path("out").exists()
    photo("b.png")
    assert script("predict", "ckpt=x", "input=b.png", "output=out").status == 0
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert script("predict", "ckpt=x", "input=a.jpg", "output=out").status == 2
    assert {path: path.stat().st_mtime_ns for path in Path("out").iterdir()} == before


def test_a_video_gives_an_entry_for_each_frame_and_a_video(script: Script, stand_in: StandIn) -> None:
    clip("clip.mp4", 12)
    outcome = script("predict", "ckpt=x", "input=clip.mp4", "output=out", "frames=9")
    assert outcome.status == 0, outcome.err
    assert [(entry["image"], entry["frame"]) for entry in entries()] == [("clip.mp4", i) for i in range(9)]
    assert files() == {"predictions.json", "clip.mp4"}
    reader = VideoReader(Path("out/clip.mp4"))
    assert reader.fps == 10
    assert all(magenta(frame) > 5 for frame in reader)
    assert reader.frames == 9
    assert "9 frames, 9 faces" in outcome.out


def test_smoothing_takes_the_noise_off_a_video(script: Script, stand_in: StandIn) -> None:
    clip("clip.mp4", 60)
    stand_in.noise = 0.01
    spread = {}
    for smooth in ("false", "true"):
        outcome = script("predict", "ckpt=x", "input=clip.mp4", "output=out", f"smooth={smooth}", "one_euro.beta=0")
        assert outcome.status == 0, outcome.err
        points = np.array([entry["faces"][0]["keypoints"] for entry in entries()])
        spread[smooth] = points[20:].std(axis=0).mean()
    share = 1 / (1 + 10 / (2 * np.pi))  # 1 Hz at 10 frames a second
    assert spread["true"] / spread["false"] == pytest.approx(np.sqrt(share / (2 - share)), rel=0.15)


def test_a_video_that_ends_in_the_middle_is_done_so_far_and_reported(script: Script, stand_in: StandIn) -> None:
    clip("clip.avi", 40)
    Path("clip.avi").write_bytes(Path("clip.avi").read_bytes()[: Path("clip.avi").stat().st_size * 6 // 10])
    outcome = script("predict", "ckpt=x", "input=clip.avi", "output=out")
    assert outcome.status == 2
    count = len(entries())
    assert 10 < count < 40
    assert f"error: clip.avi: the video announces 40 frames, {count} could be read" in outcome.err
    assert len(list(VideoReader(Path("out/clip.avi")))) == count


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("input=missing", "output=out"), "input=missing: expected a photo, folder"),
        (("input=a.png", "output=file"), "file: expected a folder that can be written to"),
        (("input=a.png", "output=file/sub"), "file/sub: expected a folder that can be written to"),
        (("input=a.png", "output=."), "output=.: is the folder of the input, whose files could be overwritten"),
        (("input=text.mp4", "output=out"), "text.mp4: expected a video, found 4 bytes"),
        (("input=a.png", "output=out", "smooth=true"), "smooth=true: expected a video or a camera"),
        (("input=clip.mp4", "output=out", "smooth=true", "one_euro.beta=-1"), "one_euro.beta: expected 0 or more"),
        (("input=a.png", "output=out", "frames=2"), "frames=2: expected a video or a camera"),
        (("input=-1", "output=out"), "input=-1: expected the number of a camera"),
        (("input=99999999999", "output=out"), "input=99999999999: expected the number of a camera"),
        (("a.png", "none.png", "output=out"), "input=none.png: expected a photo"),
        (
            ("input=a.png", "output=out", "detector.limit=3"),
            "detector.limit: detector has not been chosen",
        ),
        (("output=out",), "input: expected a value, found none"),
        (("input=a.png", "output=null"), "output: expected the name of a file or folder, found None"),
        (("input=a.png", "output=out", "flip=ja"), "flip: expected true or false, found 'ja'"),
        (("input=a.png", "output=out", "csv=1"), "csv: expected true or false, found 1"),
        (("input=a.png", "output=out", "expected_error=true"), "expected_error=true: expected a net with the expected"),
        (("input=a.png", "output=out", "max_pixels=0"), "max_pixels: expected a whole number from 1 on, found 0"),
        (("input=a.png", "output=out", "max_pixels=many"), "max_pixels: expected a whole number"),
    ],
)
def test_wrong_input_is_one_line(script: Script, stand_in: StandIn, arguments: tuple[str, ...], expected: str) -> None:
    photo("a.png")
    clip("clip.mp4", 2)
    Path("text.mp4").write_text("text")
    Path("file").write_text("")
    outcome = script("predict", "ckpt=x", *arguments)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"error: {expected}")
    assert outcome.err.count("error:") == 1
    assert not Path("predictions.json").exists()


def test_an_output_that_fills_up_ends_in_one_line(script: Script, stand_in: StandIn) -> None:
    resource = pytest.importorskip("resource")
    for i in range(60):
        photo(f"in/{i}.png")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        outcome = script("predict", "ckpt=x", "input=in", "output=out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.status == 2
    assert "error: out: cannot write the predictions (File too large)" in outcome.err.splitlines()[-1]
    assert not [name for name in files() if name.startswith((".", "pred"))]


@pytest.mark.parametrize("name", ["in", "clip.mp4"])
def test_an_interrupt_ends_in_good_order(script: Script, stand_in: StandIn, name: str) -> None:
    for i in range(20):
        photo(f"in/{i:02d}.png")
    clip("clip.mp4", 20)
    stand_in.before = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 4 else None
    outcome = script("predict", "ckpt=x", f"input={name}", "output=out")
    assert outcome.status == 1
    assert "finishing what has started" in outcome.err
    assert "interrupted" in outcome.err.splitlines()[-1]
    assert len(entries()) == 5
    assert len([file for file in files() if file.endswith((".png", ".mp4"))]) == (5 if name == "in" else 1)
    if name == "clip.mp4":
        assert len(list(VideoReader(Path("out/clip.mp4")))) == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("name", ["a,b.png", "photo (1).png", "a[1].png", "it's.png", "ä b.png", "x=y.png", "a\\b.png"])
def test_names_that_mean_something_else_to_hydra_are_taken_as_they_stand(
    script: Script, stand_in: StandIn, name: str
) -> None:
    photo(f"in/{name}")
    outcome = script("predict", "ckpt=x", f"input=in/{name}", "output=o,u (t)")
    assert outcome.status == 0, outcome.err
    assert files("o,u (t)") == {"predictions.json", name}


def test_an_interrupt_still_names_what_failed(script: Script, stand_in: StandIn) -> None:
    for i in range(8):
        photo(f"in/{i}.png")
    for name in ("in/1.png", "in/2.png"):
        Path(name).write_bytes(b"broken")
    Path("out").mkdir()
    Path("out/failed.txt").write_text("of the day before")
    stand_in.before = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 4 else None
    outcome = script("predict", "ckpt=x", "input=in", "output=out")
    assert outcome.status == 1
    assert "1.png" in outcome.err
    assert len(Path("out/failed.txt").read_text().splitlines()) == 2


def test_failures_that_cannot_be_written_down_are_said(script: Script, stand_in: StandIn) -> None:
    for i in range(3):
        Path("in").mkdir(exist_ok=True)
        Path(f"in/{i}.png").write_bytes(b"broken")
    Path("out/failed.txt").mkdir(parents=True)
    outcome = script("predict", "ckpt=x", "input=in", "output=out")
    assert outcome.status == 2
    assert "3 failed, the first: " in outcome.err.splitlines()[-1]


def test_labels_beside_a_photo_are_never_written_over(script: Script, stand_in: StandIn) -> None:
    photo("in/a.png")
    Path("in/a.pts").write_text("labels")
    outcome = script("predict", "ckpt=x", "input=in/a.png", "output=in", "images=false", "pts=true")
    assert outcome.status == 2
    assert "output=in: is the folder of the input" in outcome.err
    assert Path("in/a.pts").read_text() == "labels"


def test_a_second_interrupt_ends_at_once_and_leaves_nothing_half_written(script: Script, stand_in: StandIn) -> None:
    clip("clip.mp4", 20)

    def twice(number: int) -> None:
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    stand_in.before = twice
    outcome = script("predict", "ckpt=x", "input=clip.mp4", "output=out")
    assert outcome.status == 1
    assert files() == set()


def test_keypoints_of_a_trained_net_on_a_photo(script: Script, faces_root: Path) -> None:
    """The whole way with a real, if hardly trained, net: entries and an image."""
    fast = ("trainer=debug", "crop.size=32", "data.batch_size=8", "data.num_workers=0", "hydra.run.dir=run")
    trained = script("train", "data=udacity", f"data.root={faces_root}", "data.cache_dir=cache", *fast)
    assert trained.status == 0, trained.err
    photo("in/plain.png", 300, 200)
    canvas = np.full((400, 500, 3), 120, np.uint8)
    canvas[60:316, 100:356] = draw_face(0, 3, 0, 256)[0]
    images.write("in/face.png", canvas)
    ckpt = "run/checkpoints/best.ckpt"
    outcome = script("predict", f"ckpt={ckpt}", "input=in", "output=out", "detector=whole_image", "device=cpu")
    assert outcome.status == 0, outcome.err
    face_entry, plain_entry = entries()
    assert (face_entry["image"], plain_entry["image"]) == ("face.png", "plain.png")
    assert np.array([f["keypoints"] for f in face_entry["faces"]]).shape == (1, 68, 2)
    assert magenta(images.read("out/face.png", 3)) > 30
