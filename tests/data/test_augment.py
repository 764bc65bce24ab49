import random
from itertools import pairwise

import albumentations
import numpy as np
import pytest

from fkd.data.augment import Augmentation
from fkd.errors import UserError
from fkd.schema import IBUG68


def marked(points: np.ndarray, size: int = 96) -> np.ndarray:
    """A black picture with a bright pixel at each (whole) point."""
    image = np.zeros((size, size), np.uint8)
    image[points[:, 1].astype(int), points[:, 0].astype(int)] = 255
    return image


@pytest.fixture
def points() -> np.ndarray:
    places = random.Random(0).sample([(x, y) for x in range(20, 76) for y in range(20, 76)], 68)
    return np.array(places, np.float32)


def test_a_flip_moves_pixels_and_points_alike_and_swaps_sides(points: np.ndarray) -> None:
    visible = np.ones(68, bool)
    visible[36] = False
    flip = Augmentation([], flip=1.0, schema=IBUG68)
    image, moved, seen = flip(marked(points), points, visible, np.random.default_rng(0))
    assert (image == marked(moved)).all()
    np.testing.assert_allclose(moved[45], [95 - points[36, 0], points[36, 1]])
    assert not seen[45]
    assert seen[36]


def test_flipping_twice_is_the_identity(points: np.ndarray) -> None:
    flip = Augmentation([], flip=1.0, schema=IBUG68)
    image, visible = marked(points), np.arange(68) % 3 > 0
    once = flip(image, points, visible, np.random.default_rng(0))
    twice = flip(*once, np.random.default_rng(1))
    assert all((a == b).all() for a, b in zip(twice, (image, points, visible), strict=True))


def test_points_outside_the_crop_are_kept_in_order(points: np.ndarray) -> None:
    shifted = points.copy()
    shifted[:10] -= 60  # outside
    turn = albumentations.Affine(rotate=(30, 30), p=1.0)
    _, moved, visible = Augmentation([turn], 0.0, IBUG68)(
        marked(points), shifted, np.ones(68, bool), np.random.default_rng(0)
    )
    assert moved.shape == (68, 2)
    assert visible.all()
    # A rotation keeps distances: independent of how the library turns, order and number must hold for this.
    before = np.linalg.norm(shifted[:, None] - shifted[None], axis=-1)
    after = np.linalg.norm(moved[:, None] - moved[None], axis=-1)
    np.testing.assert_allclose(after, before, atol=1e-2)


def test_pixels_turn_as_points_do() -> None:
    """The bright blob that stood at each of four points stands at the turned points."""
    points = np.tile(np.array([[30, 40], [60, 35], [45, 60], [50, 25]], np.float32), (17, 1))
    image = np.zeros((96, 96), np.uint8)
    for x, y in points[:4].astype(int):
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    turn = albumentations.Affine(rotate=(20, 20), scale=(1.1, 1.1), p=1.0)
    turned, moved, _ = Augmentation([turn], 0.0, IBUG68)(image, points, np.ones(68, bool), np.random.default_rng(0))
    y, x = np.indices(turned.shape)
    for centre in moved[:4]:
        weight = turned * (np.hypot(x - centre[0], y - centre[1]) < 6)
        found = [(x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()]
        np.testing.assert_allclose(found, centre, atol=0.3)


def test_the_same_random_numbers_give_the_same_crop(points: np.ndarray) -> None:
    transforms = [albumentations.Affine(rotate=(-30, 30), p=0.5), albumentations.GaussNoise(p=0.5)]
    augment = Augmentation(transforms, 0.5, IBUG68)
    image, visible = np.full((96, 96), 128, np.uint8), np.ones(68, bool)

    def draw(seed: int) -> np.ndarray:
        return np.concatenate(
            [part.ravel() for part in augment(image, points, visible, np.random.default_rng(seed))[:2]]
        )

    first = [draw(seed) for seed in range(8)]
    again = [draw(seed) for seed in reversed(range(8))][::-1]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in pairwise(first))


def test_a_mirror_inside_of_a_choice_is_refused_too() -> None:
    choice = albumentations.OneOf([albumentations.GaussNoise(), albumentations.HorizontalFlip()])
    with pytest.raises(UserError, match="HorizontalFlip"):
        Augmentation([choice], 0.0, IBUG68)


def test_a_flip_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UserError, match=r"augmentation\.flip.*1\.5"):
        Augmentation([], 1.5, IBUG68)


@pytest.mark.parametrize("name", ["HorizontalFlip", "VerticalFlip", "Transpose", "D4"])
def test_transforms_that_mirror_by_themselves_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}.*augmentation\.flip"):
        Augmentation([getattr(albumentations, name)()], 0.0, IBUG68)
