"""The LightningDataModule: one source of faces, a crop plan, an augmentation."""

from collections.abc import Callable
from typing import Any

import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Subset

from fkd.data.augment import Augmentation
from fkd.data.crop_plans import CropPlan
from fkd.data.dataset import AheadLoader, CropDataset, EpochSampler, InOrder, as_it_is
from fkd.data.face_data import Faces
from fkd.distributed import outlive_signals
from fkd.errors import UserError
from fkd.geometry import crop_matrices, square_around, transform
from fkd.library_internals import lightning
from fkd.types import Batch, Points

_VALIDATION_SEED = 0  # of the boxes; the same for every run, so that runs of different seeds can be compared


class KeypointDataModule(pl.LightningDataModule):
    """Loaders of crops for training and validation.

    Args:
        faces: the table and the decoded images.
        crop: places the windows.
        augmentation: of training crops.
        batch_size: faces in a batch, of each process.
        num_workers: processes that load; 0: a thread of the training process loads.
        seed: of the order, boxes and augmentation.

    Raises:
        UserError: train or val has no faces; `train_dataloader`: a process has fewer faces than one batch.
    """

    def __init__(
        self,
        faces: Faces,
        crop: CropPlan,
        augmentation: Callable[..., Augmentation],
        batch_size: int,
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        if lacking := [split for split in ("train", "val") if not len(faces.splits[split])]:
            raise UserError(
                f"data={faces.name}: expected faces in train and val, found none in {' and '.join(lacking)}; "
                "a training needs data.train"
            )
        self.faces, self.crop, self.seed = faces, crop, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        table, splits, images = faces.table, faces.splits, faces.images
        augment = augmentation(schema=table.schema)
        self.train_set = CropDataset(table, images, crop.training, crop.size, augment, seed, splits["train"])
        self._epoch = self._batches_done = 0  # where the training starts or resumes
        self.val_set = CropDataset(table, images, crop.validation, crop.size, None, _VALIDATION_SEED, splits["val"])

    def mean_shape(self) -> Points:
        """(K, 2) crop pixels: mean over a sample of training faces, each in the window around its points."""
        keypoints = self.faces.sample("train")
        matrices = crop_matrices(self.crop.window(square_around(keypoints)), self.crop.size)
        mean: Points = transform(keypoints, matrices).mean(axis=0)
        return mean

    def state_dict(self) -> dict[str, Any]:
        """The epoch to resume in, the number of its finished batches, and everything that their order depends on."""
        assert self.trainer is not None
        done = lightning.batches_done(self.trainer)
        return {"epoch": self.trainer.current_epoch, "batches_done": done, "order": self._order}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resumes in the middle of an epoch.

        Raises:
            UserError: the rest of the epoch would be in another order.
        """
        self._epoch, self._batches_done = state_dict["epoch"], state_dict["batches_done"]
        for name, then in state_dict["order"].items() if self._batches_done else ():
            if (now := self._order.get(name)) != then:
                raise UserError(
                    f"{name}: expected {then}, since the training was interrupted in the middle of an epoch, found "
                    f"{now}; give the overrides of that run"
                )

    @property
    def _order(self) -> dict[str, int | str]:
        world, images = 1 if self.trainer is None else self.trainer.world_size, self.faces.images
        shards = {"data.root": f"shards {images.digest}"} if isinstance(images, InOrder) else {}
        return {
            **shards,
            "data.batch_size": self.batch_size,
            "seed": self.seed,
            "trainer.devices": world,
            "data": len(self.train_set),
        }

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_set, shuffle=True, training=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.val_set, shuffle=False, training=False)

    def _loader(self, dataset: CropDataset | Subset[Batch], shuffle: bool, training: bool) -> DataLoader[Batch]:
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        sampler = EpochSampler(len(dataset), shuffle, self.seed, rank, world, self.train_set.order)
        if training:  # Lightning sets the epoch too late, when workers have read ahead
            sampler.resume(self._epoch, self._batches_done * self.batch_size)
        if shuffle and self.batch_size > len(sampler):
            raise UserError(
                f"data.batch_size: expected at most the {len(sampler)} training faces that each of {world} processes "
                f"gets, found {self.batch_size}; choose a smaller batch"
            )
        loader = DataLoader if self.num_workers else AheadLoader
        return loader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            generator=torch.Generator().manual_seed(self.seed),  # loaders must not draw from the net's random numbers
            collate_fn=as_it_is,
            worker_init_fn=_init_worker,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )


class OverfitDataModule(KeypointDataModule):
    """Trains on the validation faces: the same windows, not augmented, `passes` times an epoch."""

    def __init__(self, passes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.passes = passes

    def train_dataloader(self) -> DataLoader[Batch]:
        repeated = Subset(self.val_set, [*range(len(self.val_set))] * self.passes)
        return self._loader(repeated, shuffle=False, training=True)


def _init_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # the processes already use all cores
    outlive_signals(worker)
