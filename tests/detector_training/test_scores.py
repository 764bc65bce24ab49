import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fkd.detect import Detections
from fkd.detector_training.photos import Labels, Photo
from fkd.detector_training.scores import Found, look, scores_at, table, write
from fkd.geometry import square
from fkd.io import images
from fkd.types import Image, Points


def squares(*faces: tuple[float, float, float]) -> Points:
    x, y, side = np.array(faces, np.float32).reshape(-1, 3).T
    return square(np.stack([x, y], axis=1), side)


def photo(faces: Sequence[tuple[float, float, float]], scores: Sequence[float]) -> Photo:
    return Photo("a.jpg", np.zeros((200, 300), np.uint8), Labels.of(squares(*faces), np.zeros(len(faces)), scores))


class Told:
    """Gives the boxes that it was told."""

    def __init__(self, boxes: Points, scores: Sequence[float]) -> None:
        self.found = Detections(boxes, np.array(scores, np.float32))

    def __call__(self, image: Image, path: str | None = None) -> Detections:
        return self.found


FACES = [(50, 50, 40), (150, 50, 40), (250, 50, 40), (50, 150, 10)]
"""Two clear faces, an unclear one and a small one."""


@pytest.fixture
def found() -> list[Found]:
    boxes = squares((52, 50, 40), (50, 51, 38), (150, 50, 42), (250, 50, 40), (50, 150, 10), (200, 150, 30))
    told = Told(boxes, [0.9, 0.3, 0.25, 0.8, 0.7, 0.5])
    return list(look(told, [photo(FACES, [0.9, 0.7, 0.4, 0.9]), photo([], [])]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("least", "recall", "false"),
    [
        (0.2, 1.0, 2 + 6),  # one of two boxes on the first face, and the last; all six on the photo without faces
        (0.28, 0.5, 2 + 5),
        (0.4, 0.5, 1 + 4),
        (0.6, 0.5, 0 + 3),
        (0.95, 0.0, 0),
    ],
)
def test_recall_and_false_boxes(found: list[Found], least: float, recall: float, false: int) -> None:
    assert scores_at(found, least) == {"score": least, "faces": 2, "recall": recall, "false_per_photo": false / 2}


def test_what_is_written(found: list[Found], tmp_path: Path) -> None:
    lines = write(tmp_path, {"party": found}, 0.4)
    rows = json.loads((tmp_path / "scores.json").read_text())["party"]
    assert rows[6] == scores_at(found, 0.4)
    assert [row["recall"] for row in rows[:5]] == [1.0, 1.0, 1.0, 1.0, 0.5]  # from 0.1 on in steps of 0.05
    assert images.read(tmp_path / "mistakes.png", 3).shape[1] > 256
    assert set(lines) == {"scores", "mistakes"}
    assert table({"party": found}, 0.4).row_count == 1


def test_without_mistakes_there_is_no_picture(tmp_path: Path) -> None:
    perfect = Told(squares(*FACES), [0.9] * 4)
    write(tmp_path, {"party": list(look(perfect, [photo(FACES, [1, 1, 1, 1])]))}, 0.4)  # type: ignore[arg-type]
    assert not (tmp_path / "mistakes.png").exists()
