import numpy as np
import pytest

from fkd.models.visibility_model import VisibilityModel
from fkd.synthetic.render import draw

FACES = np.stack([draw(3, subject, 0, 64, 0.5).points for subject in range(60)])
RNG = np.random.default_rng(0)


def test_the_fit_finds_the_weights_of_simulated_faces() -> None:
    """Visibility is drawn with known weights; the probabilities of the fit come near the true ones."""
    keypoints = np.tile(FACES, (60, 1, 1))
    spreads = np.exp(RNG.normal(-3, 0.7, keypoints.shape[:2]))
    weights = RNG.normal(0, 1, (68, 6)) * [0.5, 1, 2, 1, 1, 1] + [-3, -1, 0, 0, 0, 0]
    truth = VisibilityModel(weights).probability(keypoints, spreads)
    fitted = VisibilityModel.fit(keypoints, spreads, RNG.random(truth.shape) < truth)
    found = fitted.probability(keypoints, spreads)
    assert np.abs(found - truth).mean() < 0.02
    assert fitted.weights[:, 1].mean() == pytest.approx(weights[:, 1].mean(), rel=0.05)
    again = VisibilityModel.from_dict(fitted.to_dict(), 68, has_spread=True)
    assert again is not None
    np.testing.assert_allclose(again.probability(keypoints, spreads), found, atol=1e-3)


def test_points_that_are_always_visible_stay_so() -> None:
    spreads = np.full((60, 68), 0.05)
    visible = np.ones((60, 68), bool)
    visible[::2, 5] = False
    model = VisibilityModel.fit(FACES, spreads, visible)
    found = model.probability(FACES, spreads)
    assert (np.delete(found, 5, axis=1) > 0.95).all()
    assert found[:, 5].mean() == pytest.approx(0.5, abs=0.05)
    assert np.isfinite(model.probability(np.zeros((1, 68, 2), np.float32), spreads[:1])).all()  # no pose
    assert model.probability(FACES[:0], spreads[:0]).shape == (0, 68)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "weights that fit"),
        ({}, "weights that fit"),
        ({"weights": [[1.0] * 5] * 68}, r"6 numbers .* for each point, found \(68, 5\)"),
        ({"weights": [[1.0] * 6] * 67}, "expected 68 points, found 67"),
        ({"weights": [[float("nan")] * 6] * 68}, "6 numbers"),
        ({"weights": [[1e9] * 6] * 68}, "6 numbers"),
        ({"weights": "x" * 400}, "weights that fit"),
    ],
)
def test_damaged_content_is_refused(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VisibilityModel.from_dict(content, 68, has_spread=True)


def test_a_net_without_spreads_has_none() -> None:
    assert VisibilityModel.from_dict(None, 5, has_spread=False) is None
    with pytest.raises(ValueError, match="expected none for a net that gives no spread"):
        VisibilityModel.from_dict({"weights": [[0.0] * 6] * 68}, 68, has_spread=False)
