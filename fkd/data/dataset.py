"""Batches of crops, from rows of a table and decoded images."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from fkd.data.augment import Augmentation
from fkd.data.cache import Images
from fkd.data.counter_random import CounterRandom
from fkd.data.split import Rows
from fkd.geometry import affine_after, channels_first, crop_images, crop_matrices, transform
from fkd.types import Annotations, Batch, Points

Order = Callable[[np.random.Generator, int], Rows]
"""Random numbers, world size -> order of the rows in an epoch: rank r gets every `world`-th row from r on."""


@runtime_checkable
class InOrder(Protocol):
    """Images that must be read in a certain order; `digest` is a hash of everything that this order depends on."""

    digest: str

    def order(self, images: Rows, rng: np.random.Generator, world: int) -> Rows:
        """A permutation of the faces, from the image of each."""
        ...


ChooseBoxes = Callable[[Points, npt.NDArray[np.int64], CounterRandom], Points]
"""Keypoints (B, K, 2), height and width of their photos (B, 2), random numbers -> boxes (B, 4)."""


class CropDataset(Dataset[Batch]):
    """Crops of annotated faces, made in batches.

    Item ``epoch * len(self) + row`` is face `row` with the random numbers of that epoch: it depends only on the seed
    and this number, not on the worker, the batch or earlier items.

    Args:
        table: annotated faces.
        images: the decoded images that the table's rows point to.
        boxes: chooses the windows around faces.
        size: width and height of the crops in pixels.
        augmentation: applied to each crop, or None.
        seed: of the boxes and the augmentation.
        split: (N,) rows of the table in the dataset, so that they need not be copied; None for all.
    """

    def __init__(
        self,
        table: Annotations,
        images: Images,
        boxes: ChooseBoxes,
        size: int,
        augmentation: Augmentation | None,
        seed: int,
        split: Rows | None = None,
    ) -> None:
        self.table, self.images, self.boxes, self.size = table, images, boxes, size
        self.augmentation, self.seed = augmentation, seed
        self.split = np.arange(len(table)) if split is None else split

    def __len__(self) -> int:
        return len(self.split)

    def order(self, rng: np.random.Generator, world: int) -> Rows:
        """A new order of all rows, as the images must be read."""
        if isinstance(self.images, InOrder):
            return self.images.order(self.table.images[self.split], rng, world)
        return rng.permutation(len(self))

    def __getitem__(self, item: int) -> Batch:
        """One item, without the batch axis."""
        return Batch(*(value[0] for value in self.__getitems__([item])))

    def __getitems__(self, items: Sequence[int]) -> Batch:
        """The batch of these items; torch's loaders call this instead of `__getitem__` for each item."""
        numbers, table = np.asarray(items, np.int64), self.table
        rows, random = numbers % len(self), CounterRandom(self.seed, numbers)
        places = self.split[rows]
        shown_on = table.images[places].tolist()
        read = {image: self.images[image] for image in dict.fromkeys(shown_on)}  # once for all faces on it
        photos = [read[image] for image in shown_on]
        keypoints, visible = table.keypoints[places], table.visible[places]
        boxes = self.boxes(keypoints, np.array([photo.shape[:2] for photo in photos]), random)
        matrices = crop_matrices(boxes, self.size)
        shown: npt.NDArray[np.floating] = matrices
        if self.augmentation is not None:
            moves = self.augmentation.moves(self.size, random)
            shown = affine_after(moves.matrix, matrices)
            each = np.arange(len(rows))[:, None]
            keypoints, visible = keypoints[each, moves.order], visible[each, moves.order]
        points = transform(keypoints, shown)
        crops = crop_images(photos, shown, self.size)
        if self.augmentation is not None:
            self.augmentation(crops, points, random)
        arrays = (channels_first(crops), points, visible, matrices, table.label_shift[places], rows)
        return Batch(*map(torch.from_numpy, arrays))


class AheadLoader(DataLoader[Batch]):
    """A loader without processes: a thread makes the next batch while the current one is in use.

    On two cores this is faster than a loading process, which has to transfer each batch. A new epoch ends the one
    before, whose thread would draw from the same augmentation.
    """

    _running: Generator[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        if self._running is not None:
            self._running.close()
        self._running = _ahead(super().__iter__())
        return self._running


def _ahead(batches: Iterator[Batch]) -> Generator[Batch]:
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def as_it_is(batch: Any) -> Any:
    """For a DataLoader's `collate_fn`, because the dataset already makes batches."""
    return batch


class EpochSampler(Sampler[int]):
    """Item numbers of one epoch, for one process; Lightning sets the epoch.

    Args:
        rows: number of rows in the dataset.
        shuffle: each epoch has a new order, boxes and augmentation; otherwise all rows in order, as in epoch 0.
        seed: of the order.
        rank, world: rank of this process and world size. Shuffled, all processes get the same number of rows and the
            rest is left out; in order, each row goes to exactly one process.
        order: gives the order of a shuffled epoch; None: a random permutation.
    """

    def __init__(self, rows: int, shuffle: bool, seed: int, rank: int, world: int, order: Order | None = None) -> None:
        self.rows, self.shuffle, self.seed, self.rank, self.world = rows, shuffle, seed, rank, world
        self._order = order
        self.epoch = 0
        self._resumed = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def resume(self, epoch: int, done: int) -> None:
        """Starts in the middle of an epoch, after the first `done` rows of this process."""
        self.epoch, self._resumed = epoch, (epoch, done)

    def __len__(self) -> int:
        return self.rows // self.world if self.shuffle else len(range(self.rank, self.rows, self.world))

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            rng = np.random.default_rng((self.seed, self.epoch))
            order = rng.permutation(self.rows) if self._order is None else self._order(rng, self.world)
            order += self.epoch * self.rows
        else:
            order = np.arange(self.rows)
        resumed, done = self._resumed
        mine = order[self.rank :: self.world][: len(self)][done if self.epoch == resumed else 0 :]
        return map(int, mine)  # a list would take five times the memory
