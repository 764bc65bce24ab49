import math
from dataclasses import replace

import numpy as np
import pytest

from fkd.errors import UserError
from fkd.inference.smoothing import OneEuro, Smoother
from fkd.schema import IBUG68
from fkd.types import Face

SHAPE = np.random.default_rng(0).uniform(0, 1, (68, 2))
FPS = 30.0


def face(points: np.ndarray) -> Face:
    """A face whose box is the square around its points."""
    low, high = points.min(axis=0), points.max(axis=0)
    centre, half = (low + high) / 2, (high - low).max() / 2
    return Face(IBUG68, np.concatenate([centre - half, centre + half]).astype(np.float32), 1.0, np.float32(points))


def run(smoother: Smoother, frames: np.ndarray) -> np.ndarray:
    """One face in each frame, (N, 68, 2), smoothed."""
    return np.stack([smoother([face(points)])[0].keypoints for points in frames])


def scalar_one_euro(values: list[float], rate: float, min_cutoff: float, beta: float, d_cutoff: float) -> list[float]:
    """The paper's algorithms 1 to 3, one number at a time."""

    def alpha(cutoff: float) -> float:
        tau = 1.0 / (2 * math.pi * cutoff)
        return 1.0 / (1.0 + tau / (1.0 / rate))

    filtered, speed, out = None, 0.0, []
    for value in values:
        if filtered is None:
            filtered = value
        else:
            derivative = (value - filtered) * rate
            speed = alpha(d_cutoff) * derivative + (1 - alpha(d_cutoff)) * speed
            share = alpha(min_cutoff + beta * abs(speed))
            filtered = share * value + (1 - share) * filtered
        out.append(filtered)
    return out


@pytest.mark.parametrize(("min_cutoff", "beta", "d_cutoff"), [(1.0, 0.0, 1.0), (1.0, 3.0, 1.0), (0.3, 20.0, 2.5)])
def test_each_step_is_that_of_the_paper(min_cutoff: float, beta: float, d_cutoff: float) -> None:
    """A face 1 wide whose points move along x only: each is the paper's filter for one number."""
    shape = (SHAPE - SHAPE.min(axis=0)) / np.ptp(SHAPE, axis=0)  # one wide and high
    offsets = np.cumsum(np.random.default_rng(1).normal(0, 0.03, 50))
    offsets[20:] += 0.3  # a step
    frames = shape + np.stack([offsets, np.zeros(50)], axis=1)[:, None]
    smooth = run(Smoother(OneEuro(min_cutoff, beta, d_cutoff), FPS), frames)
    expected = scalar_one_euro(offsets.tolist(), FPS, min_cutoff, beta, d_cutoff)
    np.testing.assert_allclose(smooth[:, :, 0] - shape[:, 0], np.tile(np.array(expected)[:, None], 68), atol=1e-5)
    np.testing.assert_allclose(smooth[:, :, 1], np.tile(shape[:, 1], (50, 1)), atol=1e-5)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_noise_on_a_still_face_falls_as_theory_says(fps: float) -> None:
    """A low-pass filter with share a leaves a/(2 - a) of white noise's variance."""
    frames = 100 * SHAPE + np.random.default_rng(2).normal(0, 0.5, (3000, 68, 2))
    smooth = run(Smoother(OneEuro(1.0, 0.0, 1.0), fps), frames)[200:]
    share = 1 / (1 + fps / (2 * math.pi))
    expected = 0.5 * math.sqrt(share / (2 - share))
    assert smooth.std(axis=0).mean() == pytest.approx(expected, rel=0.05)
    assert abs(smooth.mean(axis=0) - 100 * SHAPE).max() < 0.1


def test_a_moving_face_is_followed_with_a_small_lag() -> None:
    """A low-pass filter lags behind a steady motion by its time constant; the cutoff rises with the speed."""
    speed = 1.0  # face widths a second
    frames = SHAPE + (np.arange(90) * speed / FPS)[:, None, None] * np.array([1.0, 0.0])
    lags = []
    for beta in (0.0, 3.0, 30.0):
        smooth = run(Smoother(OneEuro(1.0, beta, 1.0), FPS), frames)
        lags.append(float((frames[-1] - smooth[-1])[:, 0].mean()))
    assert lags[0] == pytest.approx(speed / (2 * math.pi * 1.0), rel=0.01)  # one time constant of 1 Hz
    assert lags[1] < 0.3 * lags[0]
    assert lags[2] < 0.04 * lags[0]


def test_small_and_large_faces_turned_and_moved_ones_are_treated_alike() -> None:
    frames = SHAPE + np.cumsum(np.random.default_rng(3).normal(0, 0.02, (40, 68, 2)), axis=0)
    settings = OneEuro(1.0, 5.0, 1.0)
    plain = run(Smoother(settings, FPS), 50 * frames)
    large = run(Smoother(settings, FPS), 1000 * frames + [3000, 100])
    np.testing.assert_allclose((large - [3000, 100]) / 20, plain, atol=2e-3)
    quarter = frames[..., ::-1] * [1, -1]  # the square around the points keeps its side
    np.testing.assert_allclose(run(Smoother(settings, FPS), 50 * quarter), plain[..., ::-1] * [1, -1], atol=2e-3)


def test_faces_keep_their_own_filters_and_numbers_when_their_order_changes() -> None:
    rng = np.random.default_rng(4)
    settings, places = OneEuro(1.0, 1.0, 1.0), np.array([[0, 0], [40, 10], [60, 200]])  # two of them near each other
    frames = 100 * SHAPE + places[:, None] + rng.normal(0, 1, (20, 3, 68, 2))
    alone = [run(Smoother(settings, FPS), frames[:, i]) for i in range(3)]
    together, orders = Smoother(settings, FPS), [rng.permutation(3) for _ in frames]
    for number, (points, order) in enumerate(zip(frames, orders, strict=True)):
        smooth = together([face(points[i]) for i in order])
        for i, found in zip(orders[0], smooth, strict=True):
            np.testing.assert_allclose(found.keypoints, alone[i][number], atol=1e-4)


def test_a_face_that_is_missed_a_while_goes_on_and_one_that_is_lost_begins_anew() -> None:
    settings = OneEuro(0.5, 0.0, 1.0)
    for gap, is_kept in ((1, True), (5, True), (6, False)):
        smoother = Smoother(settings, FPS)
        smoother([face(100 * SHAPE)])
        for _ in range(gap):
            assert smoother([]) == []
        moved = smoother([face(100 * SHAPE + 10)])[0].keypoints
        seconds = (gap + 1) / FPS
        share = 1 / (1 + 1 / (2 * math.pi * 0.5 * seconds)) if is_kept else 1.0
        np.testing.assert_allclose(moved, 100 * SHAPE + 10 * share, atol=1e-3)


def test_another_face_somewhere_else_is_not_dragged_along() -> None:
    smoother = Smoother(OneEuro(0.5, 0.0, 1.0), FPS)
    smoother([face(100 * SHAPE)])
    np.testing.assert_allclose(smoother([face(100 * SHAPE + 80)])[0].keypoints, 100 * SHAPE + 80, atol=1e-4)


def test_boxes_are_smoothed_and_stay_square() -> None:
    rng = np.random.default_rng(5)
    smoother = Smoother(OneEuro(1.0, 1.0, 1.0), FPS)
    widths, squares = [], []
    for _ in range(200):
        found = face(100 * SHAPE)
        side = 100 + rng.normal(0, 5)
        corner = rng.normal(0, 3, 2)
        box = np.float32([*corner, *(corner + side)])
        left, top, right, bottom = smoother([Face(IBUG68, box, None, found.keypoints)])[0].box
        widths.append(right - left)
        squares.append((right - left) - (bottom - top))
    assert np.std(widths[50:]) < 3
    np.testing.assert_allclose(squares, 0, atol=1e-3)


def test_coinciding_points_and_no_faces_are_no_trouble() -> None:
    smoother = Smoother(OneEuro(1.0, 1.0, 1.0), FPS)
    assert smoother([]) == []
    same = Face(IBUG68, np.float32([0, 0, 1, 1]), None, np.ones((68, 2), np.float32))
    for _ in range(3):
        np.testing.assert_allclose(smoother([same])[0].keypoints, same.keypoints)


@pytest.mark.parametrize(
    ("name", "value"), [("min_cutoff", 0), ("beta", -1), ("d_cutoff", "fast"), ("beta", math.nan), ("min_cutoff", None)]
)
def test_settings_that_make_no_filter_are_named(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"one_euro.{name}"):
        OneEuro(**{"min_cutoff": 1.0, "beta": 1.0, "d_cutoff": 1.0, name: value})  # type: ignore[arg-type]


def test_points_with_a_larger_expected_error_are_smoothed_more() -> None:
    """Noise of 3 and of 1 pixels on a still face: shares a of low-pass filters whose cutoffs are as 1 to 3."""
    noise = np.where(np.arange(68) < 34, 3.0, 1.0)
    frames = 100 * SHAPE + np.random.default_rng(2).normal(0, 1, (3000, 68, 2)) * noise[:, None]
    errors = (0.01 * noise).astype(np.float32)
    smoother = Smoother(OneEuro(1.0, 0.0, 1.0), FPS)
    smooth = np.stack([smoother([replace(face(points), expected_error=errors)])[0].keypoints for points in frames])
    for these, sd, factor in ((slice(34), 3.0, 2 / 3), (slice(34, 68), 1.0, 2.0)):  # the mean noise is 2
        share = 1 / (1 + FPS / (2 * math.pi * factor))
        expected = sd * math.sqrt(share / (2 - share))
        assert smooth[200:, these].std(axis=0).mean() == pytest.approx(expected, rel=0.06)


def test_equal_or_extreme_expected_errors_are_no_trouble() -> None:
    frames = 100 * SHAPE + np.random.default_rng(3).normal(0, 1, (30, 68, 2))
    plain = run(Smoother(OneEuro(1.0, 3.0, 1.0), FPS), frames)
    for errors, same in ((np.full(68, 0.07), True), (np.r_[np.zeros(67), 1e20], False)):
        smoother = Smoother(OneEuro(1.0, 3.0, 1.0), FPS)
        given = [replace(face(points), expected_error=errors.astype(np.float32)) for points in frames]
        found = np.stack([smoother([each])[0].keypoints for each in given])
        assert np.isfinite(found).all()
        assert np.allclose(found, plain, atol=1e-4) == same
