"""Expected errors, fitted to errors that are drawn from a known distribution."""

from typing import Any

import numpy as np
import pytest

from fkd.models.error_model import ErrorModel

FACES, POINTS, SLOPE = 4000, 6, 1.3
SCALES = np.array([0.2, 0.5, 0.8, 1.0, 1.5, 3.0])


def drawn(faces: int = FACES, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors, spreads and the true means of the errors: lengths of normally distributed vectors, (N, K)."""
    rng = np.random.default_rng(seed)
    spreads = np.exp(rng.normal(-3, 0.5, (faces, POINTS)))
    means = SCALES * spreads**SLOPE
    errors = np.linalg.norm(rng.normal(0, 1, (faces, POINTS, 2)), axis=-1) * means / np.sqrt(np.pi / 2)
    return errors, spreads, means


def test_a_known_law_is_found() -> None:
    errors, spreads, _ = drawn()
    model = ErrorModel.fit(errors, spreads)
    assert model.slope == pytest.approx(SLOPE, abs=0.05)
    _, others, means = drawn(500, seed=1)
    np.testing.assert_allclose(model.expected(others, 500), means, rtol=0.12)
    assert model.expected(others, 500).mean() == pytest.approx(means.mean(), rel=0.03)


def test_each_point_has_the_mean_of_its_errors_whatever_their_distribution() -> None:
    errors, spreads, _ = drawn()
    errors[::7] *= 5  # outliers, as of faces that the net mistakes
    expected = ErrorModel.fit(errors, spreads).expected(spreads, FACES)
    np.testing.assert_allclose(expected.mean(axis=0), errors.mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("has_spread", [True, False])
def test_invisible_points_do_not_count(has_spread: bool) -> None:
    errors, spreads, _ = drawn()
    hidden = np.random.default_rng(2).random(errors.shape) < 0.3
    nan = np.where(hidden, np.nan, errors)
    huge = ErrorModel.fit(np.where(hidden, np.nan, errors), spreads if has_spread else None)
    hiding = ErrorModel.fit(nan, np.where(hidden, 1e9, spreads) if has_spread else None)
    np.testing.assert_allclose(hiding.offsets, huge.offsets)
    if not has_spread:
        np.testing.assert_allclose(np.exp(hiding.offsets), np.nanmean(nan, axis=0))


def test_without_a_spread_each_point_has_one_expected_error() -> None:
    errors, _, _ = drawn()
    model = ErrorModel.fit(errors, None)
    assert not model.needs_spread
    np.testing.assert_allclose(model.expected(None, 3), np.tile(errors.mean(axis=0), (3, 1)), rtol=1e-5)


def test_a_spread_that_says_nothing_or_the_contrary_is_not_used() -> None:
    errors, spreads, _ = drawn()
    assert ErrorModel.fit(errors, 1 / spreads).slope == 0
    assert ErrorModel.fit(errors, np.full_like(spreads, 0.1)).slope == pytest.approx(0, abs=1e-6)
    for seed in range(5):  # spreads that only differ by rounding
        barely = 0.1 * np.random.default_rng(9 + seed).normal(1, 1e-4, (50, POINTS))
        assert ErrorModel.fit(errors[:50], barely).slope < 0.2


def test_a_point_that_is_never_visible_has_the_mean_of_the_others() -> None:
    errors, spreads, _ = drawn()
    errors[:, 2] = np.nan
    found = ErrorModel.fit(errors, None).expected(None, 1)[0]
    assert found[2] == pytest.approx(np.nanmean(errors), rel=1e-4)
    assert np.isfinite(ErrorModel.fit(errors, spreads).offsets).all()


def test_any_spread_gives_a_finite_error() -> None:
    errors, spreads, _ = drawn()
    extremes = np.tile(np.array([[0.0], [1e-30], [1e30]]), (1, POINTS))
    for some in (errors, np.zeros_like(errors)):  # a net that makes no error at all, too
        found = ErrorModel.fit(some, spreads).expected(extremes, 3)
        assert np.isfinite(found).all()
        assert (found > 0).all()


def test_no_known_errors_are_refused() -> None:
    with pytest.raises(ValueError, match="expected errors of faces, found none"):
        ErrorModel.fit(np.full((3, 2), np.nan), None)


def test_files_keep_it() -> None:
    errors, spreads, _ = drawn(50)
    model = ErrorModel.fit(errors, spreads)
    again = ErrorModel.from_dict(model.to_dict(), POINTS, has_spread=True)
    assert again is not None
    np.testing.assert_array_equal(again.expected(spreads, 50), model.expected(spreads, 50))
    assert ErrorModel.from_dict(None, POINTS, has_spread=True) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "expected offsets and a slope, found list"),
        ({}, "found others ('offsets')"),
        ({"offsets": [0.0] * 6}, "found others ('slope')"),
        ({"offsets": [0.0] * 6, "slope": "steep"}, "could not convert"),
        ({"offsets": [0.0] * 6, "slope": None}, "found others"),
        ({"offsets": [0.0] * 6, "slope": -1}, "slope: expected a number from 0 to 4, found -1.0"),
        ({"offsets": [0.0] * 6, "slope": float("nan")}, "from 0 to 4, found nan"),
        ({"offsets": [0.0] * 6, "slope": 10**400}, "found others"),
        ({"offsets": [0.0] * 5 + [float("nan")], "slope": 1}, "offsets: expected numbers from -20 to 20"),
        ({"offsets": [0.0] * 5 + [99.0], "slope": 1}, "offsets: expected numbers from -20 to 20"),
        ({"offsets": [[0.0]] * 6, "slope": 1}, "found float64 (6, 1)"),
        ({"offsets": [[0.0], 1.0], "slope": 1}, "found others"),
        ({"offsets": 0.0, "slope": 1}, "found float64 ()"),
        ({"offsets": [0.0] * 5, "slope": 1}, "expected 6 points, found 5"),
    ],
)
def test_damaged_content_is_refused_in_one_line(content: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"^error_model: expected") as caught:
        ErrorModel.from_dict(content, POINTS, has_spread=True)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slope_needs_a_net_with_a_spread() -> None:
    content = {"offsets": [0.0] * POINTS, "slope": 1.0}
    with pytest.raises(ValueError, match="expected a slope of 0 for a net that gives no spread"):
        ErrorModel.from_dict(content, POINTS, has_spread=False)
    with pytest.raises(ValueError, match="expected the spread of each point, found none"):
        ErrorModel(np.zeros(POINTS), 1.0).expected(None, 3)
