"""Agreement of expected and true errors, against SciPy and simulations whose answer is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from fkd.evaluation.reliability import cross_validated, reliability
from tests.models.test_error_model import POINTS, drawn


@pytest.mark.parametrize("decimals", [6, 1])
def test_the_rank_correlation_is_scipys(decimals: int) -> None:
    """With one decimal most values are tied."""
    rng = np.random.default_rng(0)
    expected = np.round(rng.gamma(2, size=(80, 5)), decimals)
    errors = np.round(expected * rng.gamma(2, size=(80, 5)), decimals)
    errors[rng.random(errors.shape) < 0.2] = np.nan
    known = np.isfinite(errors)
    found = reliability(expected, errors)
    assert found is not None
    assert found["rank_correlation"] == pytest.approx(spearmanr(expected[known], errors[known])[0], abs=1e-9)


def test_the_tenths_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    expected = rng.permutation(100).reshape(20, 5) / 100 + 0.01
    errors = expected.copy()
    errors[(expected > 0.205) & (expected < 0.305)] *= 2
    found = reliability(expected, errors)
    assert found is not None
    pairs = sorted(zip(expected.ravel(), errors.ravel(), strict=True))
    for number, (mean, true) in enumerate(found["tenths"]):
        tenth = pairs[10 * number : 10 * number + 10]
        assert mean == pytest.approx(100 * sum(pair[0] for pair in tenth) / 10)
        assert true == pytest.approx(100 * sum(pair[1] for pair in tenth) / 10)
    assert found["worst_tenth"] == pytest.approx(50)  # half of the true error


def test_constants_have_no_correlation_and_few_points_no_curve() -> None:
    errors = np.random.default_rng(2).random((10, 3))
    found = reliability(np.ones((10, 3)), errors)
    assert found is not None
    assert found["rank_correlation"] == 0
    assert reliability(errors[:3], errors[:3]) is None


@pytest.mark.parametrize("has_spread", [True, False])
def test_half_of_the_faces_tells_the_errors_of_the_other_half(has_spread: bool) -> None:
    errors, spreads, means = drawn(2000)
    subjects = np.array([f"subject {number // 4}" for number in range(2000)])
    found = cross_validated(errors, spreads if has_spread else None, subjects)
    assert found is not None
    result = reliability(found, errors)
    assert result is not None
    if has_spread:
        assert result["worst_tenth"] < 8
        np.testing.assert_allclose(found, means, rtol=0.2)
    else:
        np.testing.assert_allclose(found, np.tile(errors.mean(axis=0), (2000, 1)), rtol=0.1)


def test_no_face_tells_of_its_own_subject() -> None:
    """Each subject's errors are its own, so an expectation that knew of them would be nearer to the truth."""
    errors = np.repeat([[1.0] * POINTS, [100.0] * POINTS], 20, axis=0)
    subjects = np.repeat(["first", "second"], 20)
    found = cross_validated(errors, None, subjects)
    assert found is not None
    np.testing.assert_allclose(found[:20], 100, rtol=1e-5)
    np.testing.assert_allclose(found[20:], 1, rtol=1e-5)
    assert cross_validated(errors[:20], None, subjects[:20]) is None
