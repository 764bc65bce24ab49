from collections.abc import Sequence
from itertools import chain

import albumentations
import numpy as np
import pytest

from fkd.data.augment import Augmentation
from fkd.data.crops import FaceCrop
from fkd.data.dataset import CropDataset, EpochSampler, collate
from fkd.geometry import Jitter
from fkd.schema import IBUG68
from fkd.types import Annotations

ROWS = 6


def dataset(augmented: bool = True) -> CropDataset:
    rng = np.random.default_rng(0)
    photos: Sequence[np.ndarray] = [rng.integers(0, 256, (120, 100), np.uint8) for _ in range(3)]
    table = Annotations(
        schema=IBUG68,
        paths=np.array([f"{i}.png" for i in range(ROWS)]),
        images=np.arange(ROWS) % 3,
        keypoints=rng.uniform(30, 80, (ROWS, 68, 2)).astype(np.float32),
        visible=rng.random((ROWS, 68)) < 0.9,
        subjects=np.array(["somebody"] * ROWS),
        label_shift=np.zeros((ROWS, 2), np.float32),
    )
    augment = Augmentation([albumentations.GaussNoise(p=1.0)], 0.5, IBUG68) if augmented else None
    return CropDataset(table, photos, FaceCrop(64, 1.3, Jitter(0.1, 0.1, 0.1)).training, 64, augment, seed=3)


def test_an_item_depends_on_its_number_alone() -> None:
    first, again = dataset(), dataset()
    for key in (17, 3, 17, 5):
        again[key]
    for a, b in zip(first[17], again[17], strict=True):
        assert (np.asarray(a) == np.asarray(b)).all()


def test_each_epoch_draws_a_face_anew() -> None:
    data = dataset()
    assert (data[2].matrix != data[2 + ROWS].matrix).any()
    assert data[2].row == data[2 + ROWS].row == 2


def test_keypoints_and_matrix_agree_without_augmentation() -> None:
    data = dataset(augmented=False)
    for key in range(ROWS):
        item = data[key]
        photo = data.table.keypoints[key]
        expected = photo @ item.matrix[:, :2].T + item.matrix[:, 2]
        np.testing.assert_allclose(item.keypoints, expected, atol=1e-3)
        assert (item.visible == data.table.visible[key]).all()


def test_collate_keeps_order_shapes_and_types() -> None:
    items = [dataset()[key] for key in (4, 1)]
    batch = collate(items)
    assert batch.image.shape == (2, 1, 64, 64)
    assert str(batch.image.dtype) == "torch.uint8"
    assert batch.row.tolist() == [4, 1]
    assert (batch.keypoints[1].numpy() == items[1].keypoints).all()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_in_order_every_row_is_given_once_whatever_the_number_of_processes(world: int) -> None:
    rows = [list(EpochSampler(10, False, 0, rank, world)) for rank in range(world)]
    assert sorted(chain(*rows)) == list(range(10))


@pytest.mark.parametrize("world", [1, 3])
def test_shuffled_processes_get_equally_many_rows_and_none_twice(world: int) -> None:
    samplers = [EpochSampler(10, True, 0, rank, world) for rank in range(world)]
    seen = [list(sampler) for sampler in samplers]
    assert {len(part) for part in seen} == {10 // world} == {len(sampler) for sampler in samplers}
    assert len(set(chain(*seen))) == 10 // world * world


def test_each_epoch_has_its_own_order_and_numbers_its_items_after_those_before() -> None:
    sampler = EpochSampler(10, True, 0, 0, 1)
    first = list(sampler)
    sampler.set_epoch(2)
    third = list(sampler)
    assert sorted(third) == list(range(20, 30))
    assert [key % 10 for key in third] != first
    sampler.set_epoch(0)
    assert list(sampler) == first
