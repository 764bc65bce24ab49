import math

import numpy as np
import pytest

from fkd.synthetic.camera import Camera, Pose, rotation
from fkd.synthetic.canvas import Layer
from fkd.synthetic.head_model import EXPRESSION, IDENTITY, Array, Head, head
from fkd.synthetic.render import draw, face
from fkd.synthetic.visibility import behind_head, painted_over, under_layer

AVERAGE = head(np.zeros(len(IDENTITY)), np.zeros(len(EXPRESSION)))
RIGHT_EYE, LEFT_EYE = [36, 37, 38, 39, 40, 41], [42, 43, 44, 45, 46, 47]


def camera(yaw: float, pitch: float = 0.0) -> Camera:
    return Camera(rotation(Pose(yaw, pitch, 0.0, 20.0)), 20.0, 0.2, np.full(2, 0.5))


def nearer_by(body: Head, view: Camera) -> Array:
    """(68,) how much nearer to the viewer than a point the surface is on the ray through it; -inf: nowhere."""
    grid = (view.rotation @ body.grid.reshape(3, -1)).reshape(body.grid.shape)
    a, b, c, d = grid[:, :-1, :-1], grid[:, 1:, :-1], grid[:, :-1, 1:], grid[:, 1:, 1:]
    corners = np.stack([np.stack([a, b, c], 1).reshape(3, 3, -1), np.stack([b, d, c], 1).reshape(3, 3, -1)], -1)
    (x, y, z), found = corners.reshape(3, 3, -1), []
    for px, py, pz in (view.rotation @ body.points.T).T:
        areas = [(x[j] - px) * (y[k] - py) - (x[k] - px) * (y[j] - py) for j, k in ((1, 2), (2, 0), (0, 1))]
        total = np.add.reduce(areas)
        shares = np.stack(areas) / np.where(total == 0, np.nan, total)
        inside = (shares >= 0).all(axis=0)
        found.append(((shares * z).sum(axis=0)[inside] - pz).max(initial=-np.inf))
    return np.array(found)


@pytest.mark.parametrize("pitch", [-0.4, 0.0, 0.4])
@pytest.mark.parametrize("yaw", [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
def test_points_behind_the_head_are_those_that_rays_do_not_reach(yaw: float, pitch: float) -> None:
    view = camera(yaw, pitch)
    hidden, distance = behind_head(AVERAGE, view)[17:], nearer_by(AVERAGE, view)[17:]
    assert hidden[distance > 0.6].all()
    assert hidden[distance < 0.05].sum() <= 6  # beside an edge the surface may be far nearer
    assert not behind_head(AVERAGE, view)[:17].any()  # they lie on the outline


def test_a_head_in_profile_hides_the_far_eye() -> None:
    hidden = behind_head(AVERAGE, camera(math.pi / 2))
    assert hidden[LEFT_EYE].all()
    assert not hidden[[36, 37, 40, 41]].any()
    mirrored = behind_head(AVERAGE, camera(-math.pi / 2))
    assert mirrored[RIGHT_EYE].all()
    assert not behind_head(AVERAGE, camera(0.0)).any()


def test_a_layer_covers_where_it_is_opaque() -> None:
    layer = Layer(np.zeros((2, 3, 4), np.float32), np.array([[1, 0.2, 0.9], [0, 0, 0.6]], np.float32), (10, 20))
    places = (np.array([[10, 20], [11, 20], [12, 20], [12, 21], [9, 20], [13, 20], [10, 22], [0, 0]]) + 0.5) / 96
    assert under_layer(layer, places).tolist() == [True, False, True, True, False, False, False, False]


def test_painted_points_and_points_outside_are_not_seen() -> None:
    before = np.zeros((8, 10, 3), np.uint8)
    after = before.copy()
    after[3, 4, 1] = 1
    points = np.array([[4.0, 3], [4.4, 2.6], [3, 4], [9, 7], [9.6, 7], [-0.6, 0], [0, 8]])
    assert painted_over(before, after, points).tolist() == [True, True, False, False, True, True, True]


def test_visible_points_of_drawn_faces() -> None:
    shares = {}
    for large_poses in (0.0, 1.0):
        drawn = [draw(6, subject, 0, 64, large_poses) for subject in range(40)]
        shares[large_poses] = np.mean([each.visible[17:].mean() for each in drawn])
    assert 0.9 < shares[0.0] < 0.99  # hair, hands, sunglasses
    assert 0.6 < shares[1.0] < 0.88
    image, points = face(6, 3, 0, 64)
    assert np.array_equal(draw(6, 3, 0, 64).image, image)
    assert np.array_equal(draw(6, 3, 0, 64).points, points)
