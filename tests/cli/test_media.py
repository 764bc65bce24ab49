"""Folders with files that predict and filter cannot use, with a stand-in that finds one face on every image."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd.io import images
from tests.conftest import Outcome, StandIn

Script = Callable[..., Outcome]
PREDICT, FILTER = ("predict", "csv=true", "pts=true"), ("filter", "filter=sunglasses")
COMMANDS = pytest.mark.parametrize("command", [PREDICT, FILTER], ids=["predict", "filter"])


def photo(name: str) -> Path:
    path = Path("in") / name
    path.parent.mkdir(exist_ok=True)
    images.write("photo.png", np.full((60, 80, 3), 120, np.uint8))
    path.write_bytes(Path("photo.png").read_bytes())
    return path


def images_of(file: str) -> list[str]:
    return [entry["image"] for entry in json.loads(Path(file).read_text())]


@COMMANDS
def test_no_name_and_no_bad_file_ends_a_run(script: Script, stand_in: StandIn, command: tuple[str, ...]) -> None:
    good = sorted(["a.jpg", "n" * 245 + ".jpg", "n" * 251 + ".jpg", "two\nlines.jpg", "bytes\udcff.jpg", "z.jpg"])
    for name in good:
        photo(name)
    photo("cut.png").write_bytes(Path("photo.png").read_bytes()[:-40])
    Path("in/empty.jpg").touch()
    Path("in/bad\nname\r\udcff.jpg").write_bytes(b"no image")
    Path("in/folder.jpg").mkdir()
    os.mkfifo("in/pipe.jpg")
    Path("in/loop.jpg").symlink_to("loop.jpg")
    Path("in/gone.jpg").symlink_to("nothing")
    outcome = script(*command, "ckpt=x", "input=in", "output=out")
    assert outcome.status == 2
    assert "6 images, 6 faces" in outcome.out
    assert outcome.err.splitlines()[-1] == (
        "error: 6 images failed, the others are done; all reasons are in out/failed.txt"
    )
    assert [name for name in good if not Path("out", name).is_file()] == []
    lines = os.fsdecode(Path("out/failed.txt").read_bytes()).split("\n")
    failed = ["bad\\nname\\r\udcff.jpg", "cut.png", "empty.jpg", "gone.jpg", "loop.jpg", "pipe.jpg"]
    assert [line.partition(": ")[0] for line in lines] == [*(f"in/{name}" for name in failed), ""]
    assert "in/bad\\nname\\r\\udcff.jpg: " in outcome.err.replace("\n", " ")
    if command is PREDICT:
        assert images_of("out/predictions.json") == good
        assert len([*Path("out").glob("*.pts")]) == len(good)


@COMMANDS
def test_a_result_that_no_file_can_hold_fails_alone(
    script: Script, stand_in: StandIn, command: tuple[str, ...]
) -> None:
    """A name that is too long with its new suffix, and one that a folder has."""
    for name in ("a.png", "n" * 248 + ".gif", "taken.png", "z.png"):
        photo(name)
    Path("out/taken.png").mkdir(parents=True)
    outcome = script(*command, "ckpt=x", "input=in", "output=out")
    assert outcome.status == 2
    assert "2 images, 2 faces" in outcome.out
    assert [*map(Path.is_file, map(Path, ("out/a.png", "out/z.png")))] == [True, True]
    long, taken = Path("out/failed.txt").read_text().splitlines()
    assert long.startswith(f"out/{'n' * 248}.gif.png: cannot write the image (File name too long)")
    assert taken.startswith("out/taken.png: cannot write the image (Is a directory)")
    if command is PREDICT:
        assert images_of("out/predictions.json") == ["a.png", "z.png"]


def test_points_that_no_file_can_hold_fail_alone(script: Script, stand_in: StandIn) -> None:
    for name in ("a.png", "b.png", "sub.png", "z.png"):
        photo(name)
    Path("out/b.pts").mkdir(parents=True)
    Path("in/sub").mkdir()
    photo("sub/c.png")
    Path("out/sub").touch()
    outcome = script("predict", "ckpt=x", "input=in", "output=out", "pts=true", "images=false")
    assert outcome.status == 2
    assert images_of("out/predictions.json") == ["a.png", "sub.png", "z.png"]
    first, second = Path("out/failed.txt").read_text().splitlines()
    assert first.startswith("out/b.pts: cannot write the points (Is a directory)")
    assert second.startswith("out/sub: expected a folder that can be written to (File exists)")


@pytest.mark.parametrize("name", ["n" * 300 + ".jpg", "n" * 300, "n" * 300 + "*"])
def test_a_name_that_no_file_can_have_is_one_line(script: Script, stand_in: StandIn, name: str) -> None:
    outcome = script("predict", "ckpt=x", f"input={name}", "output=out")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"error: {name}: expected the name of a file, ")
