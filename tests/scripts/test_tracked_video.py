"""track=true of scripts/predict.py and scripts/filter.py, with a stand-in whose faces have ids."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fkd.inference.predictor import Found
from fkd.io import images
from fkd.io.video import VideoWriter
from fkd.types import Image
from fkd.visualization import draw
from tests.conftest import Outcome, StandIn

Script = Callable[..., Outcome]


@pytest.fixture
def calls(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The `detect_every` of each call of `track`, which gives the second face of a video in each frame."""
    made = []

    def track(frames: Iterable[Image], detect_every: int) -> Iterator[Found]:
        made.append(detect_every)
        for found in stand_in.stream(frames):
            yield found._replace(faces=[replace(face, id=1) for face in found.faces])

    monkeypatch.setattr(stand_in, "track", track)
    with VideoWriter(Path("clip.avi"), 10) as writer:
        for _ in range(4):
            writer.write(np.full((96, 128, 3), 120, np.uint8))
    images.write("a.png", np.full((96, 128, 3), 120, np.uint8))
    return made


def faces_of(output: str) -> list[dict]:
    return [face for entry in json.loads(Path(output, "predictions.json").read_text()) for face in entry["faces"]]


@pytest.mark.parametrize("smooth", ["true", "false"])
def test_the_faces_of_a_video_have_ids_in_all_files(script: Script, calls: list[int], smooth: str) -> None:
    outcome = script("predict", "ckpt=x", "input=clip.avi", "output=out", "csv=true", f"smooth={smooth}")
    assert outcome.status == 0, outcome.err
    assert calls == [10]
    assert [face["id"] for face in faces_of("out")] == [1] * 4
    with Path("out/predictions.csv").open(newline="") as file:
        assert [(list(row)[-1], row["id"], row["face"]) for row in csv.DictReader(file)] == [("id", "1", "0")] * 4


def test_photos_and_track_false_have_none(script: Script, calls: list[int]) -> None:
    for arguments in (("input=a.png",), ("input=clip.avi", "track=false")):
        outcome = script("predict", "ckpt=x", *arguments, "output=out", "csv=true")
        assert outcome.status == 0, outcome.err
        assert all("id" not in face for face in faces_of("out"))
        assert "id" not in Path("out/predictions.csv").read_text().splitlines()[0].split(",")
    assert calls == []


def test_filters_follow_faces_and_hiding_looks_at_each_frame(script: Script, calls: list[int]) -> None:
    assert script("filter", "ckpt=x", "input=clip.avi", "output=a", "filter=hat", "detect_every=3").status == 0
    assert calls == [3]
    assert script("filter", "ckpt=x", "input=clip.avi", "output=b", "filter=blur", "track=true").status == 0
    assert script("filter", "ckpt=x", "input=clip.avi", "output=c", "filter=[hat,blur]").status == 0
    assert calls == [3]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("track=2", "track: expected true or false, found 2"),
        ("detect_every=0", "detect_every: expected a whole number from 1 on, found 0"),
    ],
)
def test_a_wrong_value_is_one_line(script: Script, calls: list[int], argument: str, expected: str) -> None:
    outcome = script("predict", "ckpt=x", "input=a.png", "output=out", argument)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"error: {expected}")


def test_a_box_is_labelled_with_the_id_of_its_face(stand_in: StandIn) -> None:
    image = np.full((96, 128, 3), 120, np.uint8)
    face = stand_in.face(image)
    drawn = [draw.faces(image, [replace(face, id=number)]) for number in (None, 0, 7)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[1] != drawn[2]).any()
