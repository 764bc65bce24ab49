import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import prediction
from benchmarks.figures import Row, in_turn
from benchmarks.prediction import Given
from benchmarks.tables import speed
from fkd.geometry import Jitter
from fkd.synthetic import face
from tests.conftest import Outcome

Script = Callable[..., Outcome]


def test_both_sides_take_turns_and_the_first_calls_do_not_count() -> None:
    calls: list[str] = []
    sides = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    values = in_turn(sides, repeats=5, warm_up=1, block=2)
    assert "".join(calls) == "aaabbb" * 2 + "aabb"  # each block one more than counts
    assert {name: len(times) for name, times in values.items()} == {"a": 5, "b": 5}


def test_a_row_holds_the_median_and_the_quartiles() -> None:
    row = Row.of("x", [*range(1, 12)], "ms")
    assert (row.low, row.median, row.high) == (3.5, 6, 8.5)


def test_the_wide_photo_shows_the_face_in_its_middle() -> None:
    image = face(0, 0, 0, 200)[0]
    wide = prediction.on_a_wide_photo(image)
    assert wide.shape == (720, 1280, 3)
    middle = wide[180:540, 460:820]
    small = np.asarray(middle[::2, ::2], float)
    expected = image[np.arange(180) * 200 // 180][:, np.arange(180) * 200 // 180]
    assert np.corrcoef(small.ravel(), expected.ravel())[0, 1] > 0.95


def test_given_boxes_belong_to_their_images() -> None:
    class Other:
        jitter, limit = Jitter(0.1, 0.1, 0.04), None

    images = [np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)]
    given = Given(Other(), images, np.array([[0, 0, 1, 1], [0, 0, 2, 2]], np.float32))  # type: ignore[arg-type]
    np.testing.assert_array_equal(given(images[1])[0], [[0, 0, 2, 2]])


def test_the_script_writes_every_figure_it_shows(script: Script, faces_root: Path) -> None:
    data = ("data=udacity", f"data.root={faces_root}", "data.cache_dir=cache", "data.val_share=0.3")
    fast = (
        "trainer=debug",
        "crop.size=32",
        "data.batch_size=8",
        "data.num_workers=0",
        "hydra.run.dir=run",
        "test=false",
    )
    assert script("train", *data, *fast).status == 0
    few = ("repeats=2", "images=3", "photos=4", "passes=2", "hydra.run.dir=out", "results=kept/speed.json")
    outcome = script("benchmark", "predict", "ckpt=run/checkpoints/best.ckpt", *data, *few)
    assert outcome.status == 0, outcome.err
    content = json.loads(Path("out/benchmark.json").read_text())
    assert json.loads(Path("kept/speed.json").read_text()) == content
    assert "data.root=PATH" in content["command"]
    assert str(faces_root) not in content["command"]
    assert f"{content['figures']['one face, one thread'][1]['median']:.2f}" in speed.prediction(content)
    groups = content["figures"]
    sides = {title.split(",")[0]: [row["name"] for row in rows] for title, rows in groups.items()}
    assert sides == {
        "one face": ["torch", "ONNX", "ONNX int8"],
        "detectors": ["OpenCV's cascade, 1.1 and 5", "OpenCV's cascade, 1.2 and 2", "detector"],
        "200 x 200": ["detector and ONNX", "boxes given and ONNX"],
        "1280 x 720": ["detector and ONNX"],
        "4 photos in a folder": ["one by one", "as a stream"],
    }
    given = next(rows for title, rows in groups.items() if title.startswith("200"))[1]
    assert given["faces"] == 3  # one on each image
    for rows in groups.values():
        for row in rows:
            assert 0 < row["low"] <= row["median"] <= row["high"]
            assert row["name"] in outcome.out


def test_an_unknown_benchmark_is_one_line(script: Script) -> None:
    outcome = script("benchmark", "predikt", "ckpt=none", "hydra.run.dir=out")
    assert outcome.status == 2
    assert "what=predikt: expected one of train, data, scale, predict" in outcome.err
