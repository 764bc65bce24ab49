import numpy as np

from fkd.data.counter_random import CounterRandom
from fkd.data.crop_plans import FaceCrop, FrameCrop
from fkd.geometry import Crop, Jitter, square_around

JITTER = Jitter(scale=0.1, x=0.09, y=0.04)
ONE = CounterRandom(0, np.array([0]))
POINTS = np.random.default_rng(0).uniform(40, 120, (68, 2)).astype(np.float32)


def test_frame_crop_is_the_notebooks_rescale_and_centre_crop() -> None:
    """Against the notebooks' own arithmetic: rescale the short side to 250, cut 224, points likewise."""
    height, width = 200, 180
    scale, plan = 250 / width, FrameCrop(224, 250, 2.0, 0.0)
    (box,) = plan.validation(POINTS[None], np.array([[height, width]]), ONE)
    left, top = (250 - 224) / 2, (scale * height - 224) / 2
    expected = (POINTS + 0.5) * scale - 0.5 - [left, top]
    np.testing.assert_allclose(Crop.from_box(box, 224).points(POINTS), expected, atol=1e-2)


def test_random_frame_windows_stay_inside_the_frame_and_reach_its_edges() -> None:
    plan, photos = FrameCrop(224, 250, 2.0, 0.0), np.array([[200, 180]] * 500)
    boxes = plan.training(np.stack([POINTS] * 500), photos, CounterRandom(0, np.arange(500)))
    assert boxes[:, :2].min() >= -0.5 - 1e-3
    assert (boxes[:, 2:].max(axis=0) <= [179.5 + 1e-3, 199.5 + 1e-3]).all()
    side = 180 * 224 / 250
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], side, rtol=1e-5)
    np.testing.assert_allclose(boxes[:, 0].max() - boxes[:, 0].min(), 180 - side, rtol=0.05)


def test_face_crop_widens_the_square_around_the_points() -> None:
    plan = FaceCrop(96, 1.35, Jitter(0.0, 0.0, 0.0))
    (box,) = plan.training(POINTS[None], np.array([[200, 180]]), ONE)
    points = Crop.from_box(box, 96).points(POINTS)
    extent = np.ptp(points, axis=0).max()
    np.testing.assert_allclose(extent, 96 / 1.35, rtol=1e-4)
    np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, [47.5, 47.5], atol=1e-3)


def test_face_crop_draws_a_new_box_for_new_random_numbers_only() -> None:
    plan = FaceCrop(96, 1.35, JITTER)
    photos = np.array([[200, 180]])
    same = [plan.validation(POINTS[None], photos, CounterRandom(0, np.array([5]))) for _ in range(2)]
    other = plan.validation(POINTS[None], photos, CounterRandom(0, np.array([6])))
    assert (same[0] == same[1]).all()
    assert (same[0] != other).any()


def test_a_frame_windows_place_about_the_face_can_be_undone() -> None:
    plan = FrameCrop(224, 250, 2.04, -0.13)
    square = square_around(POINTS)
    window = plan.window(square)
    side = square[2] - square[0]
    np.testing.assert_allclose(window[2] - window[0], 2.04 * side, rtol=1e-5)
    np.testing.assert_allclose(
        (window[:2] + window[2:]) / 2 - (square[:2] + square[2:]) / 2, [0, -0.13 * side], atol=1e-3
    )


def test_training_boxes_spread_as_the_detectors_do() -> None:
    plan, count = FaceCrop(96, 1.0, JITTER), 4000
    boxes = plan.training(
        np.stack([POINTS] * count), np.array([[200, 180]] * count), CounterRandom(0, np.arange(count))
    )
    square = square_around(POINTS)
    side, middle = square[2] - square[0], (square[:2] + square[2:]) / 2
    found = [(boxes[:, 2] - boxes[:, 0]) / side, *((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).T / side]
    np.testing.assert_allclose(np.std(found, axis=1), [JITTER.scale, JITTER.x, JITTER.y], rtol=0.06)
    np.testing.assert_allclose(np.mean(found, axis=1), [1, 0, 0], atol=0.01)
