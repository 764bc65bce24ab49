"""Head pose against heads whose pose is known."""

import numpy as np
import pytest

from fkd.head_pose import _GENERIC, _STEADY, head_pose
from fkd.schema import IBUG68
from fkd.synthetic.camera import Pose, place, visible_points
from fkd.synthetic.head_model import EXPRESSION, IDENTITY, head


def seen(yaw: float, pitch: float, roll: float, identity: np.ndarray | float = 0.0) -> np.ndarray:
    """(68, 2) pixels of a head, angles in degrees."""
    pose = Pose(*np.radians([yaw, pitch, roll]), 20.0)
    shown = head(np.zeros(len(IDENTITY)) + identity, np.zeros(len(EXPRESSION)))
    camera = place(shown, pose, 0.5, np.array([0.5, 0.5]))
    return (visible_points(shown, camera, pose.roll) * 300).astype(np.float32)


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (-45, 5, 10), (10, -20, -30), (5, 15, 60), (0, 0, 170)])
def test_the_generic_heads_pose_is_found(angles: tuple[float, float, float]) -> None:
    assert head_pose(seen(*angles)[None])[0] == pytest.approx(angles, abs=2)


def test_other_heads_poses_are_found_within_some_degrees() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform([-40, -20, -30], [40, 20, 30], (50, 3))
    faces = [seen(*turned, identity=rng.normal(0, 0.5, len(IDENTITY))) for turned in angles]
    assert np.abs(head_pose(np.stack(faces)) - angles).mean() < 5


def test_a_mirrored_face_is_turned_the_other_way() -> None:
    points = seen(25, 8, 12)
    mirrored = (points * [-1, 1])[list(IBUG68.flip)].astype(np.float32)
    assert head_pose(mirrored[None])[0] == pytest.approx(head_pose(points[None])[0] * [-1, 1, -1], abs=0.1)


def test_no_faces_have_no_poses() -> None:
    assert head_pose(np.zeros((0, 68, 2), np.float32)).shape == (0, 3)


def test_the_generic_head_is_the_mean_of_the_synthetic_ones() -> None:
    mean = head(np.zeros(len(IDENTITY)), np.zeros(len(EXPRESSION))).points
    np.testing.assert_allclose(_GENERIC, mean[_STEADY], atol=1e-3)
    assert [*range(17, 48), 48, 54] == _STEADY


def test_points_in_one_place_have_no_pose() -> None:
    assert np.isnan(head_pose(np.ones((1, 68, 2), np.float32))).all()
