"""The pictures that a run leaves."""

from pathlib import Path

import numpy as np
import pytest

from fkd.data.face_data import Faces
from fkd.evaluation.evaluate import Scores
from fkd.evaluation.report import save_figures
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
