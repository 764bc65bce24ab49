import cv2
import numpy as np
import pytest

from fkd.evaluation.matching import squares_of_faces
from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.types import Annotations


def table(points: np.ndarray) -> Annotations:
    return Annotations(
        schema=IBUG68,
        paths=np.array(["a"]),
        images=np.zeros(1, np.int64),
        keypoints=points[None].astype(np.float32),
        visible=np.ones((1, 68), bool),
        subjects=np.array(["a"]),
        label_shift=np.zeros((1, 2), np.float32),
    )


@pytest.mark.parametrize("degrees", [45, -60, 90])
def test_the_square_of_a_face_has_one_size_at_any_angle_where_a_detector_gives_rolls(degrees: float) -> None:
    _, points = face(3, 0, 0, 160)
    middle = points.mean(axis=0)
    matrix = cv2.getRotationMatrix2D(middle.tolist(), -degrees, 1)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    rolls = np.zeros(1, np.float32)
    (before,), (after,) = (squares_of_faces(table(each), rolls) for each in (points, moved))
    assert after[2] - after[0] == pytest.approx(before[2] - before[0], rel=1e-4)
    low, high = moved.min(axis=0), moved.max(axis=0)
    (upright,) = squares_of_faces(table(moved), None)
    assert upright[2] - upright[0] == pytest.approx((high - low).max(), rel=1e-5)
    np.testing.assert_allclose((upright[:2] + upright[2:]) / 2, (low + high) / 2, atol=1e-3)
