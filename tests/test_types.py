"""What a found face says of itself."""

import numpy as np
import pytest

from fkd.head_pose import head_pose
from fkd.schema import IBUG68, KeypointSchema
from fkd.types import Face
from tests.test_head_pose import seen

TWO = KeypointSchema("two", ("a", "b"), {"both": (0, 1)}, (1, 0), (), (0, 1), ((0,), (1,)))


def face(keypoints: np.ndarray, schema: KeypointSchema = IBUG68) -> Face:
    return Face(schema, np.float32([0, 0, 9, 9]), 0.5, keypoints.astype(np.float32))


def test_the_pose_is_that_of_its_keypoints() -> None:
    points = seen(20, -10, 30)
    assert face(points).pose == pytest.approx(head_pose(points[None])[0])
    assert face(points).pose.yaw == pytest.approx(20, abs=2)
    assert face(points).pose.roll == pytest.approx(30, abs=2)


def test_openings_are_heights_over_widths() -> None:
    points = seen(0, 0, 0)

    def apart(i: int, j: int) -> float:
        return float(np.hypot(*(points[i] - points[j])))

    right = (apart(37, 41) + apart(38, 40)) / (2 * apart(36, 39))
    left = (apart(43, 47) + apart(44, 46)) / (2 * apart(42, 45))
    mouth = (apart(61, 67) + apart(62, 66) + apart(63, 65)) / (3 * apart(60, 64))
    assert face(points).eye_opening == pytest.approx((right, left))
    assert face(points).mouth_opening == pytest.approx(mouth)


def test_a_wink_and_an_open_mouth() -> None:
    points = seen(0, 0, 0)
    points[[37, 38]] = points[[41, 40]]  # the right eye is shut
    points[[65, 66, 67], 1] += np.hypot(*(points[60] - points[64]))  # the lower lip, by the mouth's width
    right, left = face(points).eye_opening
    assert right == 0
    assert left > 0.2
    assert face(points).mouth_opening > 1


@pytest.mark.parametrize(
    "other", [face(np.array([[1, 2], [3, 4]]), TWO), face(np.full((68, 2), np.nan))], ids=["schema", "no keypoints"]
)
def test_other_faces_have_none_of_it(other: Face) -> None:
    assert (other.pose, other.eye_opening, other.mouth_opening) == (None, None, None)
    content = other.to_dict()
    assert (content["pose"], content["eye_opening"], content["mouth_opening"]) == (None, None, None)
