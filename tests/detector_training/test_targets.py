import math

import numpy as np
import pytest
import torch

from fkd.detect.centernet import decode
from fkd.detector_training.photos import Labels
from fkd.detector_training.targets import loss_of, maps_of

SIZE = 128


def labels(*faces: tuple[float, float, float, float, float]) -> Labels:
    x, y, *others = np.array(faces, np.float32).reshape(-1, 5).T
    return Labels(np.stack([x, y], axis=1), *others)


def perfect(maps: np.ndarray) -> np.ndarray:
    """What a net gives that has learned these maps."""
    logits = np.log(np.clip(maps[:1], 1e-6, 1 - 1e-6) / (1 - np.clip(maps[:1], 1e-6, 1 - 1e-6)))
    return np.concatenate([logits, maps[1:6]])


def test_decoding_the_maps_gives_the_faces() -> None:
    faces = labels((20.3, 30.8, 14, 12, 1), (80.6, 44.1, 40, -80, 0.7), (63.5, 100.2, 60, 172, 0.5))
    found = decode(perfect(maps_of(faces, SIZE)), 0.9)
    order = np.argsort(found.centres[:, 1])
    np.testing.assert_allclose(found.centres[order], faces.centres, atol=1e-3)
    np.testing.assert_allclose(found.sides[order], faces.sides, rtol=1e-5)
    np.testing.assert_allclose(found.rolls[order], faces.rolls, atol=1e-3)


def test_the_smaller_of_two_faces_is_in_front() -> None:
    large, small = (64.0, 64.0, 100.0, 0.0, 1.0), (70.0, 60.0, 12.0, 1.0, 1.0)
    maps = maps_of(labels(small, large), SIZE)
    assert maps[3, 7, 8] == pytest.approx(math.log(12 / 8))
    np.testing.assert_array_equal(maps, maps_of(labels(large, small), SIZE))


def test_nothing_is_learned_where_a_face_is_unclear() -> None:
    maps = maps_of(labels((40, 40, 32, 0, 0.4)), SIZE)
    assert maps[0].max() == maps[7].max() == 0
    middles = np.arange(16) * 8 + 3.5
    inside = np.abs(middles - 40) <= 0.6 * 32
    np.testing.assert_array_equal(maps[6] == 0, inside[:, None] & inside)


def test_a_clear_face_in_an_unclear_one_is_learned() -> None:
    maps = maps_of(labels((40, 40, 60, 0, 0.4), (44, 44, 20, 0, 1)), SIZE)
    assert maps[6, 5, 5] == maps[0, 5, 5] == 1


def test_a_face_beyond_the_edge_has_its_peak_at_the_edge() -> None:
    (found,) = zip(*decode(perfect(maps_of(labels((-6, 60, 30, 0, 1)), SIZE)), 0.5), strict=True)
    np.testing.assert_allclose(found[0], [-6, 60], atol=1e-3)


def test_the_loss_is_that_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    target = np.stack([maps_of(labels((40, 60, 30, 0.5, 1), (90, 90, 20, 0, 0.3)), SIZE) for _ in range(2)])
    found = rng.normal(0, 2, (2, 6, 16, 16)).astype(np.float32)
    centre = offset = size = roll = faces = total = 0.0
    for b, y, x in np.ndindex(2, 16, 16):
        logit, right, down, width, cos, sin = (float(v) for v in found[b, :, y, x])
        peak, r, d, w, c, s, weight, near = (float(v) for v in target[b, :, y, x])
        p = 1 / (1 + math.exp(-logit))
        if peak == 1:
            faces += 1
            centre -= weight * (1 - p) ** 2 * math.log(p)
        else:
            centre -= weight * (1 - peak) ** 4 * p**2 * math.log(1 - p)
        total += near
        offset += near * (abs(right - r) + abs(down - d)) / math.exp(w)
        size += near * abs(width - w)
        roll += near * (abs(cos - c) + abs(sin - s))
    assert faces == 2
    losses = loss_of(torch.from_numpy(found), torch.from_numpy(target))
    expected = {"centre": centre / faces, "offset": offset / total, "size": size / total, "roll": roll / total}
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-4)


def test_perfect_maps_have_no_loss() -> None:
    target = maps_of(labels((40, 60, 30, 0.5, 1)), SIZE)
    losses = loss_of(torch.from_numpy(perfect(target))[None], torch.from_numpy(target)[None])
    assert losses["offset"] == losses["size"] == losses["roll"] == 0
    assert losses["centre"] < 0.1  # the cells beside a centre are worth a little
