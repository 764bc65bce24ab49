"""The images that a run leaves."""

from pathlib import Path

import numpy as np
import pytest

from fkd.data.face_data import Faces
from fkd.evaluation.evaluate import Scores
from fkd.evaluation.report import metrics_table, save_figures
from fkd.io import images
from fkd.visualization import draw
from tests.evaluation.test_evaluate import faces  # noqa: F401 (a fixture)


@pytest.mark.parametrize(("count", "worst"), [(1, 0), (3, 1), (12, 4)])
def test_no_face_is_drawn_twice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faces: Faces,  # noqa: F811
    count: int,
    worst: int,
) -> None:
    table = faces.table.take(np.arange(count))
    table.subjects[:] = [f"no. {row}" for row in range(count)]
    some = Faces(table, {}, faces.images, "made up", ())
    errors = np.random.default_rng(0).permutation(count).astype(np.float32)
    windows = np.tile(np.array([20, 20, 100, 100], np.float32), (count, 1))
    points = table.keypoints
    scores = Scores({}, {}, windows, np.ones(count, bool), points, points, errors, errors + 1)
    said: list[str] = []
    sheet = draw.sheet
    monkeypatch.setattr(draw, "sheet", lambda tiles, columns, captions: said.extend(captions) or sheet(tiles, columns))
    assert images.read(save_figures(tmp_path, scores, some, "all"), 3).std() > 5
    names = [caption.removeprefix("worst: ") for caption in said]
    assert len(set(names)) == len(names) == count
    last = [caption for caption in said if caption.startswith("worst: ")]
    expected = sorted(range(count), key=lambda row: -errors[row])[:worst]
    assert last == [f"worst: no. {row} {errors[row]:.1f} %" for row in expected]


def test_the_scores_of_all_faces_stand_first() -> None:
    """A net that misses every face it is bad at has a low NME; only these are comparable."""
    titles = list(metrics_table("scores", {"net": {}}).columns[0].cells)
    assert titles[:3] == ["AUC to 10 %, all faces", "failures over 10 %, all faces", "NME, all faces %"]


def test_a_missed_face_is_drawn_without_keypoints(tmp_path: Path, faces: Faces) -> None:  # noqa: F811
    count = len(faces.table)
    windows, target = np.tile(np.array([20, 20, 100, 100], np.float32), (count, 1)), faces.table.keypoints
    errors = np.full(count, 100, np.float32)
    nothing = Scores({}, {}, windows, np.zeros(count, bool), np.full_like(target, np.nan), target, errors, errors)
    assert images.read(save_figures(tmp_path, nothing, faces, "all"), 3).std() > 5
