import random
from itertools import pairwise
from typing import Any, NamedTuple

import albumentations
import numpy as np
import pytest
from albumentations.augmentations.geometric.functional import create_affine_transformation_matrix

from fkd.data.augment import Augmentation, affine_matrices, tone_tables
from fkd.data.counter_random import CounterRandom
from fkd.errors import UserError
from fkd.geometry import transform, warp
from fkd.schema import IBUG68

SIZE = 96


class Changed(NamedTuple):
    images: np.ndarray
    points: np.ndarray
    order: np.ndarray


def change(augmentation: Augmentation, image: np.ndarray, points: np.ndarray, items: list[int]) -> Changed:
    """The same crop and points as different items."""
    random = CounterRandom(0, np.array(items))
    moves = augmentation.moves(SIZE, random)
    images = np.stack(
        [warp(image, matrix, np.empty_like(image)) for matrix in np.broadcast_to(moves.matrix, (len(items), 2, 3))]
    )
    moved = transform(points[moves.order], moves.matrix)
    augmentation(images, moved, random)
    return Changed(images, moved, moves.order)


def marked(points: np.ndarray, size: int = SIZE) -> np.ndarray:
    """A black image with a bright pixel at each (whole) point."""
    image = np.zeros((size, size), np.uint8)
    image[points[:, 1].astype(int), points[:, 0].astype(int)] = 255
    return image


@pytest.fixture
def points() -> np.ndarray:
    places = random.Random(0).sample([(x, y) for x in range(20, 76) for y in range(20, 76)], 68)
    return np.array(places, np.float32)


def test_a_flip_moves_pixels_and_points_alike_and_swaps_sides(points: np.ndarray) -> None:
    flip = Augmentation([], flip=1.0, schema=IBUG68)
    images, moved, order = change(flip, marked(points), points, [0])
    assert (images[0] == marked(moved[0])).all()
    np.testing.assert_allclose(moved[0, 45], [95 - points[36, 0], points[36, 1]])
    assert order[0, 45] == 36


def test_flipping_twice_is_the_identity(points: np.ndarray) -> None:
    flip = Augmentation([], flip=1.0, schema=IBUG68)
    once = change(flip, marked(points), points, [0])
    twice = change(flip, once.images[0], once.points[0], [1])
    assert (twice.images[0] == marked(points)).all()
    np.testing.assert_allclose(twice.points[0], points)
    assert (once.order[0][twice.order[0]] == np.arange(68)).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_mirrored_crops_is_the_probability(points: np.ndarray, share: float) -> None:
    order = Augmentation([], share, IBUG68).moves(SIZE, CounterRandom(0, np.arange(10_000))).order
    mirrored = (order != np.arange(68)).any(axis=1).mean()
    assert abs(mirrored - share) < 5 * np.sqrt(share * (1 - share) / 10_000) + 1e-9


def test_matrices_are_albumentations_own() -> None:
    rng = np.random.default_rng(0)
    angle, wide, high, right, down = rng.uniform([[-1], [0.5], [0.5], [-9], [-9]], [[1], [2], [2], [9], [9]], (5, 20))
    ours = affine_matrices(angle, wide, high, right, down, SIZE)
    for i, matrix in enumerate(ours):
        theirs = create_affine_transformation_matrix(
            {"x": right[i], "y": down[i]},
            {"x": 0, "y": 0},
            {"x": wide[i], "y": high[i]},
            float(np.rad2deg(angle[i])),
            (SIZE / 2 - 0.5, SIZE / 2 - 0.5),
        )
        np.testing.assert_allclose(matrix, theirs, atol=1e-9)


def test_moves_are_drawn_as_albumentations_draws_them() -> None:
    """Angle, scales and shifts of 4,000 of its matrices have the mean and the extent of ours."""
    affine = albumentations.Affine(
        rotate=(-20, 30), scale={"x": (0.8, 1.1), "y": (0.9, 1.3)}, translate_percent=(-0.1, 0.05), p=1.0
    )
    ours = Augmentation([affine], 0.0, IBUG68).moves(SIZE, CounterRandom(0, np.arange(4000))).matrix
    shape = {"shape": (SIZE, SIZE, 1)}
    theirs = np.array([affine.get_params_dependent_on_data(shape, {})["matrix"][:2] for _ in range(4000)])

    def figures(matrices: np.ndarray) -> np.ndarray:
        middle = matrices[:, :, :2].sum(axis=2) * (SIZE - 1) / 2 + matrices[:, :, 2] - (SIZE - 1) / 2
        wide, high = np.hypot(*matrices[:, :, 0].T), np.hypot(*matrices[:, :, 1].T)
        angle = np.rad2deg(np.arctan2(-matrices[:, 1, 0], matrices[:, 0, 0]))
        return np.stack([angle, wide * 100, high * 100, *(middle.T * 4)])

    found, expected = figures(ours), figures(theirs)
    np.testing.assert_allclose(found.mean(axis=1), expected.mean(axis=1), atol=1.5)
    np.testing.assert_allclose(found.min(axis=1), expected.min(axis=1), atol=0.3)
    np.testing.assert_allclose(found.max(axis=1), expected.max(axis=1), atol=0.3)


def test_scales_keep_their_ratio_and_a_transform_its_probability() -> None:
    affine = albumentations.Affine(scale=(0.5, 2.0), keep_ratio=True, p=0.25)
    matrices = Augmentation([affine], 0.0, IBUG68).moves(SIZE, CounterRandom(0, np.arange(10_000))).matrix
    np.testing.assert_allclose(matrices[:, 0, 0], matrices[:, 1, 1])
    assert abs((matrices[:, 0, 0] != 1).mean() - 0.25) < 0.02


TURNS = {
    "in the warp": {},
    "albumentations' own": {"border_mode": 1},
    "with a shear": {"shear": (10, 10)},
    "in pixels": {"translate_px": (4, 4)},
}


@pytest.mark.parametrize("options", TURNS.values(), ids=TURNS.keys())
def test_pixels_turn_as_points_do(options: dict[str, object]) -> None:
    """The bright blob that stood at each of four points stands at the turned points."""
    points = np.tile(np.array([[30, 40], [60, 35], [45, 60], [50, 25]], np.float32), (17, 1))
    image = np.zeros((96, 96), np.uint8)
    for x, y in points[:4].astype(int):
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    turn = albumentations.Affine(rotate=(20, 20), scale=(1.1, 1.1), p=1.0, **options)
    changed = change(Augmentation([turn], 0.0, IBUG68), image, points, [3])
    y, x = np.indices(image.shape)
    for centre in changed.points[0, :4]:
        weight = changed.images[0] * (np.hypot(x - centre[0], y - centre[1]) < 6)
        found = [(x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()]
        np.testing.assert_allclose(found, centre, atol=0.3)


def test_a_turn_in_the_warp_shows_what_albumentations_shows() -> None:
    y, x = np.indices((SIZE, SIZE))
    image = (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.uint8)
    turn = albumentations.Affine(rotate=(12, 12), scale=(1.2, 1.2), translate_percent=(0.05, 0.05), p=1.0)
    ours = change(Augmentation([turn], 0.0, IBUG68), image, np.zeros((68, 2), np.float32), [0]).images[0]
    inside = slice(16, 80)
    np.testing.assert_allclose(ours[inside, inside].astype(int), turn(image=image)["image"][inside, inside], atol=1)


def test_points_outside_the_crop_are_kept_in_order(points: np.ndarray) -> None:
    shifted = points.copy()
    shifted[:10] -= 60  # outside
    for options in ({}, {"border_mode": 1}):
        turn = albumentations.Affine(rotate=(30, 30), p=1.0, **options)
        moved = change(Augmentation([turn], 0.0, IBUG68), marked(points), shifted, [0]).points[0]
        # A rotation keeps distances: independent of how the library turns, order and number must hold for this.
        before = np.linalg.norm(shifted[:, None] - shifted[None], axis=-1)
        after = np.linalg.norm(moved[:, None] - moved[None], axis=-1)
        np.testing.assert_allclose(after, before, atol=1e-2)


def test_brightness_and_contrast_are_albumentations_own() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIZE, SIZE), np.uint8)
    factor, offset = rng.uniform(0.5, 1.5, 20), rng.uniform(-80, 80, 20)
    tone = albumentations.RandomBrightnessContrast(p=1.0)
    for table, alpha, beta in zip(tone_tables(factor, offset), factor, offset, strict=True):
        assert (table[image] == tone.apply(image, alpha=float(alpha), beta=float(beta))).all()


def test_brightness_and_contrast_reach_their_limits_as_often_as_asked() -> None:
    image, points = np.full((SIZE, SIZE), 100, np.uint8), np.zeros((68, 2), np.float32)
    tone = albumentations.RandomBrightnessContrast(brightness_limit=(-0.2, 0.1), contrast_limit=(0, 0), p=0.5)
    values = change(Augmentation([tone], 0.0, IBUG68), image, points, list(range(2000))).images[:, 0, 0].astype(int)
    assert abs((values != 100).mean() - 0.5) < 0.06
    assert (values.min(), values.max()) == (49, 125)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_what_an_item_becomes_does_not_depend_on_its_batch(points: np.ndarray, channels: tuple[int, ...]) -> None:
    transforms = [
        albumentations.Affine(rotate=(-30, 30), p=0.5),
        albumentations.RandomBrightnessContrast(p=0.5),
        albumentations.OneOf([albumentations.GaussNoise(), albumentations.MotionBlur()], p=0.5),
        albumentations.CoarseDropout(p=0.5),
        albumentations.ElasticTransform(keypoint_remapping_method="direct", p=0.5),
    ]
    augment = Augmentation(transforms, 0.5, IBUG68)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, *channels), np.uint8)
    items = list(range(12))
    together = change(augment, image, points, items)
    for i in reversed(items):
        alone = change(augment, image, points, [i])
        assert all((a[0] == b[i]).all() for a, b in zip(alone, together, strict=True))
    assert any((a != b).any() for a, b in pairwise(together.images))


def test_what_changes_pixels_only_leaves_the_points_in_place(points: np.ndarray) -> None:
    transforms = [albumentations.GaussNoise(p=1.0), albumentations.CoarseDropout(p=1.0)]
    changed = change(Augmentation(transforms, 0.0, IBUG68), marked(points), points, [0])
    assert (changed.points[0] == points).all()
    assert (changed.images[0] != marked(points)).any()


@pytest.mark.parametrize(
    ("container", "share"),
    [
        (albumentations.OneOf([albumentations.InvertImg(p=1.0)], p=0.3), 0.3),
        (albumentations.Sequential([albumentations.InvertImg(p=1.0)], p=0.3), 0.3),
        (albumentations.SomeOf([albumentations.InvertImg(p=1.0)], n=1, p=0.3), 0.3),
        (albumentations.OneOrOther(albumentations.InvertImg(p=1.0), albumentations.InvertImg(p=1.0), p=0.3), 1.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_transforms_of_transforms_change_as_many_crops_as_albumentations(container: Any, share: float) -> None:
    image, points = np.full((SIZE, SIZE), 10, np.uint8), np.zeros((68, 2), np.float32)
    images = change(Augmentation([container], 0.0, IBUG68), image, points, list(range(1000))).images
    assert abs((images[:, 0, 0] != 10).mean() - share) < 0.06


@pytest.mark.parametrize("transform", [albumentations.ToFloat(p=1.0), albumentations.RandomCrop(32, 32, p=1.0)])
def test_transforms_that_change_type_or_size_are_refused(points: np.ndarray, transform: Any) -> None:
    with pytest.raises(UserError, match=rf"expected uint8 \(96, 96\) from {type(transform).__name__}, found"):
        change(Augmentation([transform], 0.0, IBUG68), marked(points), points, [0])


def test_a_transform_that_loses_points_is_refused(points: np.ndarray) -> None:
    loses = Augmentation([albumentations.ElasticTransform(keypoint_remapping_method="mask", p=1.0)], 0.0, IBUG68)
    same = np.tile(points[:1], (68, 1))  # all in one place: a mask shows one of them
    with pytest.raises(UserError, match=r"expected 68 points from ElasticTransform, found \d+; .*direct"):
        change(loses, marked(points), same, [0])


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
