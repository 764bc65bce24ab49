import dataclasses
import math

import numpy as np
import pytest
import torch

from fkd.schema import IBUG68


def test_flip_twice_is_the_identity() -> None:
    flip = np.array(IBUG68.flip)
    assert (flip[flip] == np.arange(68)).all()


def test_flip_swaps_right_and_left_parts() -> None:
    for right, left in (("right_eye", "left_eye"), ("right_brow", "left_brow")):
        assert {IBUG68.flip[i] for i in IBUG68.parts[right]} == set(IBUG68.parts[left])
    for part in ("jaw", "nose", "outer_mouth", "inner_mouth"):
        assert {IBUG68.flip[i] for i in IBUG68.parts[part]} == set(IBUG68.parts[part])


def test_flip_keeps_the_lines() -> None:
    """A mirrored face has the same strokes: independent of how the permutation was written down."""
    lines = {frozenset(line) for line in IBUG68.lines}
    assert {frozenset((IBUG68.flip[a], IBUG68.flip[b])) for a, b in lines} == lines


def test_a_shift_moves_each_face_by_its_own_size_and_is_undone_by_its_negative() -> None:
    rng = np.random.default_rng(0)
    faces, shift = rng.uniform(0, 100, (5, 68, 2)), np.tile([0.2, 0.0274], (5, 1))
    moved = IBUG68.shifted(faces, shift)
    for before, after in zip(faces, moved, strict=True):
        right = 0.2 + 0.0274 * math.dist(before[36], before[45])
        np.testing.assert_allclose(after - before, np.tile([right, 0.0], (68, 1)))
    np.testing.assert_allclose(IBUG68.shifted(moved, -shift), faces)
    same = IBUG68.shifted(torch.from_numpy(faces), torch.from_numpy(shift))
    np.testing.assert_allclose(same.numpy(), moved)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flip", (1, 2, 0, *range(3, 68)), "undoes itself"),
        ("parts", {"all": tuple(range(67))}, "each of the 68"),
        ("lines", ((0, 68),), "must name"),
        ("normaliser", (36, 36), "must name"),
    ],
)
def test_a_wrong_schema_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(IBUG68, **{field: value})
