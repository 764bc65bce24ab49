import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import albumentations
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fkd.data.augment import Augmentation
from fkd.data.crop_plans import FaceCrop
from fkd.data.dataset import AheadLoader, CropDataset, EpochSampler, as_it_is
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
    together, again = dataset().__getitems__([5, 17, 3]), dataset()
    again.__getitems__([3, 4])
    alone = again.__getitems__([17])
    for a, b in zip(together, alone, strict=True):
        assert (a[1] == b[0]).all()


def test_each_epoch_draws_a_face_anew() -> None:
    batch = dataset().__getitems__([2, 2 + ROWS])
    assert (batch.matrix[0] != batch.matrix[1]).any()
    assert batch.row.tolist() == [2, 2]


def test_keypoints_and_matrix_agree_without_augmentation() -> None:
    data = dataset(augmented=False)
    batch = data.__getitems__(range(ROWS))
    for row in range(ROWS):
        matrix = batch.matrix[row].numpy()
        expected = data.table.keypoints[row] @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(batch.keypoints[row], expected, atol=1e-3)
        assert (batch.visible[row].numpy() == data.table.visible[row]).all()


def test_an_augmented_crop_shows_what_its_points_say() -> None:
    """A bright spot of the photo stands at its point, however the crop was moved and mirrored."""
    data = dataset()
    data.augmentation = Augmentation([albumentations.Affine(rotate=(-40, 40), scale=(0.8, 1.2), p=0.8)], 0.5, IBUG68)
    spots = np.zeros((ROWS, 120, 100), np.uint8)
    data.table.images[:], data.table.visible[:] = np.arange(ROWS), True
    for row, photo in enumerate(spots):
        x, y = np.rint(data.table.keypoints[row, 30]).astype(int)  # the nose's tip is its own mirror image
        data.table.keypoints[row, 30] = x, y
        photo[y - 2 : y + 3, x - 2 : x + 3] = 255
    data.images = list(spots)  # type: ignore[assignment]
    batch = data.__getitems__(range(8 * ROWS))
    y, x = np.indices((64, 64))
    for image, points in zip(batch.image[:, 0].numpy().astype(float), batch.keypoints.numpy(), strict=True):
        if points[30].min() > 8 and points[30].max() < 56:
            np.testing.assert_allclose(
                [(x * image).sum() / image.sum(), (y * image).sum() / image.sum()], points[30], atol=0.3
            )
    orders = {tuple(np.argsort(points[:, 0])[:3]) for points in batch.keypoints.numpy()}
    assert len(orders) > ROWS  # some are mirrored


def test_a_mirrored_crop_hides_the_mirrored_points() -> None:
    """Visibility goes where its point goes: the right eye that nobody labelled is the left one of the mirror image."""
    data = dataset()
    data.augmentation = Augmentation([albumentations.NoOp(p=1.0)], 0.5, IBUG68)
    data.table.visible[:] = True
    data.table.visible[:, [*range(17), *range(36, 42)]] = [p > 7 for p in range(17)] + [False] * 6
    batch, order = data.__getitems__(range(8 * ROWS)), list(IBUG68.flip)
    mirrored = 0
    for points, visible, matrix, row in zip(*map(np.asarray, (*batch[1:4], batch.row)), strict=True):
        plain = data.table.keypoints[row] @ matrix[:, :2].T + matrix[:, 2]
        as_it_is = np.allclose(points, plain, atol=1e-2)
        mirrored += not as_it_is
        expected = data.table.visible[row] if as_it_is else data.table.visible[row][order]
        assert (visible == expected).all()
    assert 0 < mirrored < 8 * ROWS


def test_a_batch_has_its_order_shapes_and_types_and_channels_last() -> None:
    data = dataset()
    batch = data.__getitems__((4, 1))
    assert batch.image.shape == (2, 1, 64, 64)
    assert str(batch.image.dtype) == "torch.uint8"
    assert batch.row.tolist() == [4, 1]
    data.images = [np.stack([photo] * 3, axis=2) for photo in data.images]  # type: ignore[assignment]
    data.augmentation = None
    colour = data.__getitems__((4, 1)).image
    assert colour.shape == (2, 3, 64, 64)
    assert colour.is_contiguous(memory_format=torch.channels_last)


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


def loader(sampler: Any = None) -> AheadLoader:
    return AheadLoader(dataset(), batch_size=2, sampler=sampler or range(ROWS), collate_fn=as_it_is)


@pytest.fixture
def threads() -> Callable[[], int]:
    """How many more there are now that read ahead: a training that another test has cut may have left its own."""
    before = set(threading.enumerate())
    return lambda: sum(t.name.startswith("ThreadPoolExecutor") for t in set(threading.enumerate()) - before)


def test_a_thread_reads_the_same_batches_as_the_plain_loader_and_goes(threads: Callable[[], int]) -> None:
    plain = DataLoader(dataset(), batch_size=2, collate_fn=as_it_is)
    found = list(loader())
    assert len(found) == len(plain) == 3
    for a, b in zip(found, plain, strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert threads() == 0


def test_an_epoch_that_ends_early_leaves_no_thread_and_the_next_begins_anew(threads: Callable[[], int]) -> None:
    batches = loader()
    first = next(iter(batches))
    again = iter(batches)
    assert threads() <= 1
    assert (next(again).row == first.row).all()
    again.close()  # type: ignore[attr-defined]
    assert threads() == 0


def test_an_error_of_the_thread_ends_the_loop(threads: Callable[[], int]) -> None:
    def broken() -> Iterator[int]:
        yield from (0, 1)
        raise ValueError("broken")

    class Sampler:
        def __iter__(self) -> Iterator[int]:
            return broken()

    batches = iter(loader(Sampler()))
    next(batches)
    with pytest.raises(ValueError, match="broken"):
        next(batches)
    assert threads() == 0


def test_the_epoch_is_asked_for_when_it_begins() -> None:
    sampler = EpochSampler(ROWS, True, 0, 0, 1)
    batches = loader(sampler)
    rows = [torch.cat([batch.row for batch in batches]).tolist()]
    sampler.set_epoch(1)
    rows.append(torch.cat([batch.row for batch in batches]).tolist())
    assert rows[1] == [key % ROWS for key in sampler]
    assert rows[0] != rows[1]


def test_an_index_gives_one_item_and_loaders_give_the_same() -> None:
    data = dataset()
    for item in (0, len(data) - 1, len(data) + 1):
        batch, one = data.__getitems__([item]), data[item]
        assert one.image.shape == batch.image.shape[1:]
        assert all(torch.equal(mine, whole[0]) for mine, whole in zip(one, batch, strict=True))
