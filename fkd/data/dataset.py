"""From rows of a table and pictures in the cache to batches of crops."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from fkd.data.augment import Augmentation
from fkd.data.cache import ImageCache
from fkd.geometry import Crop, channels_first
from fkd.types import Annotations, Batch, Item, Points

ChooseBox = Callable[[Points, tuple[int, int], np.random.Generator], Points]
"""Keypoints (K, 2), photo (height, width), random numbers -> box (4,), all in photo pixels."""


class CropDataset(Dataset[Item]):
    """Crops of annotated faces.

    Item ``epoch * len(self) + row`` is face `row` as that epoch draws it: it depends on nothing but the seed and
    this number, not on the worker or on what was read before.

    Args:
        table: N faces.
        images: the decoded pictures that the table's rows point to.
        box: chooses the window around a face.
        size: width and height of the crops.
        augmentation: applied to each crop, or None.
        seed: of the boxes and the augmentation.
    """

    def __init__(
        self,
        table: Annotations,
        images: ImageCache,
        box: ChooseBox,
        size: int,
        augmentation: Augmentation | None,
        seed: int,
    ) -> None:
        self.table, self.images, self.box, self.size = table, images, box, size
        self.augmentation, self.seed = augmentation, seed

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: int) -> Item:
        epoch, row = divmod(key, len(self))
        rng = np.random.default_rng((self.seed, epoch, row))
        photo, keypoints = self.images[int(self.table.images[row])], self.table.keypoints[row]
        crop = Crop.from_box(self.box(keypoints, photo.shape[:2], rng), self.size)
        image, points, visible = crop.image(photo), crop.points(keypoints), self.table.visible[row]
        if self.augmentation is not None:
            image, points, visible = self.augmentation(image, points, visible, rng)
        return Item(channels_first(image), points, visible, crop.matrix, self.table.label_shift[row], row)


def collate(items: Sequence[Item]) -> Batch:
    """B items -> one batch of tensors."""
    return Batch(*(torch.from_numpy(np.stack(column)) for column in zip(*items, strict=True)))


class EpochSampler(Sampler[int]):
    """Item numbers of one epoch, for one of `world` processes; Lightning tells it the epoch.

    Args:
        rows: faces in the table.
        shuffle: a new order each epoch, and the epoch's own boxes and augmentation; otherwise in order, as epoch 0.
        seed: of the order.
        rank, world: this process and the number of processes. Shuffled, all get the same number of rows (the rest waits
            for another epoch); in order, every row is given to exactly one process.
    """

    def __init__(self, rows: int, shuffle: bool, seed: int, rank: int, world: int) -> None:
        self.rows, self.shuffle, self.seed, self.rank, self.world = rows, shuffle, seed, rank, world
        self.epoch = 0
        self._begun = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def go_on(self, epoch: int, done: int) -> None:
        """Begins in the middle of an epoch, of which this process has seen the first `done` rows already."""
        self.epoch, self._begun = epoch, (epoch, done)

    def __len__(self) -> int:
        return self.rows // self.world if self.shuffle else len(range(self.rank, self.rows, self.world))

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows) + self.epoch * self.rows
        else:
            order = np.arange(self.rows)
        begun, done = self._begun
        mine = order[self.rank :: self.world][: len(self)][done if self.epoch == begun else 0 :]
        return iter(mine.tolist())
