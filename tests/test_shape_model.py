import json
import tracemalloc

import numpy as np
import pytest

from fkd.shape_model import ShapeModel
from fkd.synthetic import face

RNG = np.random.default_rng(0)
FACES = np.stack([face(0, subject, 0, 96)[1] for subject in range(60)])
OTHERS = np.stack([face(1, subject, 0, 96)[1] for subject in range(20)])


def turned(points: np.ndarray, degrees: float, scale: float, offset: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (scale * points @ rotation.T + offset).astype(np.float32)


def test_place_size_and_rotation_do_not_count() -> None:
    model = ShapeModel.fit(FACES)
    for degrees, scale in ((30, 0.2), (180, 1.0), (-75, 9.0)):
        moved = turned(OTHERS, degrees, scale, (300, -40))
        np.testing.assert_allclose(model.distance(moved), model.distance(OTHERS), rtol=1e-3)


def test_a_mirrored_alignment_is_not_allowed() -> None:
    """Reflections are no similarity: points whose left and right are swapped are far from every face."""
    model = ShapeModel.fit(FACES)
    assert model.distance(OTHERS * np.float32([-1, 1])).min() > 3 * model.distance(OTHERS).max()


def test_training_shapes_have_a_root_mean_square_of_one() -> None:
    assert np.sqrt(np.mean(ShapeModel.fit(FACES).distance(FACES) ** 2)) == pytest.approx(1, rel=1e-4)


def test_distance_is_what_a_planted_subspace_leaves() -> None:
    """Shapes of a known mean and two known axes: within three deviations only the noise across them is left."""
    mean = RNG.normal(size=(30, 2))
    mean -= mean.mean(axis=0)
    mean /= np.linalg.norm(mean)
    turn = np.stack([-mean[:, 1], mean[:, 0]], axis=1)  # what rotation would undo
    shift = np.eye(2)[:, None] * np.ones((30, 1)) / np.sqrt(30)
    taken = np.stack([mean, turn, *shift]).reshape(4, -1)
    basis = np.linalg.qr(np.concatenate([taken, RNG.normal(size=(3, 60))]).T)[0].T[4:]
    along = RNG.normal(size=(4000, 2)) * [0.01, 0.003]
    shapes = mean + (along @ basis[:2]).reshape(-1, 30, 2)
    model = ShapeModel.fit(shapes.astype(np.float32))
    np.testing.assert_allclose(model.deviations[:2], [0.01, 0.003], rtol=0.1)
    off = model.distance((mean + 0.02 * basis[2].reshape(30, 2)).astype(np.float32)) * model.unit
    assert off == pytest.approx(0.02, rel=0.05)
    beyond = model.distance((mean + 0.05 * basis[0].reshape(30, 2)).astype(np.float32)) * model.unit
    assert beyond == pytest.approx(0.05 - 3 * 0.01, rel=0.1)  # three deviations are allowed


def test_scattered_points_are_farther_than_any_face() -> None:
    model = ShapeModel.fit(FACES)
    scattered = OTHERS + RNG.normal(0, 6, OTHERS.shape).astype(np.float32)
    assert model.distance(scattered).min() > 1.5 * model.distance(OTHERS).max()


def test_points_without_a_shape_are_infinitely_far() -> None:
    model = ShapeModel.fit(FACES)
    lost = FACES[0].copy()
    lost[3] = np.nan
    assert np.isinf(model.distance(lost))
    assert np.isinf(model.distance(np.full((68, 2), 7, np.float32)))


def test_a_nets_own_answers_become_the_unit() -> None:
    model = ShapeModel.fit(FACES)
    answers = model.distance(OTHERS)
    rescaled = model.in_units_of(answers)
    assert np.mean(rescaled.distance(OTHERS) <= 1) == pytest.approx(0.95, abs=0.05)
    assert model.in_units_of(np.zeros(5)).unit == pytest.approx(0.1 * model.unit)


@pytest.mark.parametrize("points", [[36, 45], [36, 45, 30, 48, 54], [*range(36, 46)], [*range(17, 36)]], ids=len)
def test_small_schemas_leave_their_model_something_to_judge(points: list[int]) -> None:
    """Where the axes spanned all shapes, every distance was 0 or infinite."""
    rng = np.random.default_rng(0)
    model, others = ShapeModel.fit(FACES[:, points]), OTHERS[:, points]
    again = ShapeModel.from_dict(json.loads(json.dumps(model.to_dict())), len(points))
    np.testing.assert_array_equal(again.distance(others), model.distance(others))
    if len(points) > 2:  # two have one shape
        assert model.unit > 1e-4
        assert 0.01 < np.median(model.distance(others)) < 3
        scattered = rng.normal(0, 20, others.shape).astype(np.float32)
        assert np.quantile(model.distance(scattered), 0.1) > np.quantile(model.distance(others), 0.9)


def test_a_large_schema_has_twenty_axes() -> None:
    assert len(ShapeModel.fit(FACES).axes) == 20
    assert len(ShapeModel.fit(FACES[:9]).axes) == 8


def test_a_model_survives_a_file() -> None:
    model = ShapeModel.fit(FACES)
    again = ShapeModel.from_dict(json.loads(json.dumps(model.to_dict())), 68)
    np.testing.assert_array_equal(again.distance(OTHERS), model.distance(OTHERS))


@pytest.mark.parametrize(
    "change",
    [{"unit": 0}, {"unit": "x"}, {"axes": [[1, 2]]}, {"mean": [[np.nan, 0]] * 68}, {"deviations": []}],
    ids=str,
)
def test_broken_content_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"shapes: expected|ShapeModel\."):
        ShapeModel.from_dict(ShapeModel.fit(FACES).to_dict() | change, 68)


def test_another_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 5 points, found 68"):
        ShapeModel.from_dict(ShapeModel.fit(FACES).to_dict(), 5)


def test_a_single_face_is_no_distribution() -> None:
    with pytest.raises(ValueError, match="two or more faces, found 1"):
        ShapeModel.fit(FACES[:1])


def test_fitting_needs_no_more_than_a_few_copies_of_the_faces() -> None:
    faces = np.concatenate([FACES] * 30)
    tracemalloc.start()
    try:
        ShapeModel.fit(faces)
        assert tracemalloc.get_traced_memory()[1] < 4 * faces.astype(float).nbytes
    finally:
        tracemalloc.stop()
