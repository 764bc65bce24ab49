"""Photos and loaders for training a face detector, of a config."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig
from torch.utils.data import DataLoader

import fkd
from fkd import distributed
from fkd.config import checks
from fkd.config.faces import build_faces
from fkd.config.instantiate import instantiate
from fkd.detector_training.mosaics import Mosaic, Mosaics
from fkd.detector_training.photos import Photo, annotated_photos, boxed_photos
from fkd.detector_training.split import is_held_out
from fkd.errors import UserError
from fkd.terminal import show

Loader = DataLoader[Mosaic]


def build_photos(cfg: DictConfig) -> list[list[Photo]]:
    """The photos of each folder of `photos`, and those of the training split of `data`.

    Raises:
        UserError: a folder or a file is missing or wrong.
    """
    if not cfg.photos or isinstance(cfg.photos, str):
        raise UserError(f"photos={cfg.photos}: expected a list of folders, such as [DIR]")
    net = fkd.load(None if cfg.labels.net is None else checks.net(cfg, "labels.net")).net
    correction = instantiate(cfg.labels.correction, "labels.correction")
    smallest = checks.number(cfg, "labels.smallest", least=1)
    sets = [boxed_photos(str(root), cfg.leave_out, correction, net, smallest) for root in cfg.photos]
    faces = build_faces(cfg)
    show(*faces.remarks)
    return [*sets, annotated_photos(faces, "train")]


def held_out(sets: Sequence[Sequence[Photo]]) -> list[list[Photo]]:
    """The held-out photos of each folder."""
    return [[photo for photo in photos if is_held_out(photo.name)] for photos in sets[:-1]]


def build_loaders(cfg: DictConfig, sets: Sequence[Sequence[Photo]]) -> tuple[Loader, Loader]:
    """Batches of mosaics of the photos that are not held out, and of those that are, the same in each epoch.

    Raises:
        UserError: a value is out of range, or there are too few photos.
    """
    known = [*([photo for photo in photos if not is_held_out(photo.name)] for photos in sets[:-1]), sets[-1]]
    unknown = held_out(sets)
    for name, photos in (("training", known), ("validation", unknown)):
        if not all(photos):
            raise UserError(f"photos: expected some for {name} in each folder, found none; give more photos")
    shares = list(cfg.mosaics.shares or [1] * len(known))
    if len(shares) != len(known) or not all(isinstance(share, int | float) and share > 0 for share in shares):
        raise UserError(f"mosaics.shares={shares}: expected {len(known)} numbers above 0, the last for data")
    options: Mapping[str, Any] = {"batch_size": checks.whole(cfg, "data.batch_size", least=1)}
    make, count = instantiate(cfg.mosaics, "mosaics", _partial_=True), checks.whole(cfg, "validation", least=1)
    mosaics: Mosaics = make(sets=known, shares=shares)
    views: Mosaics = make(sets=unknown, shares=shares[:-1], length=count)
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        fixed: Any = [views[i] for i in range(count)]
    workers = distributed.loader_workers(cfg.data.num_workers, 0)
    return (
        DataLoader(
            mosaics,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            **options,
        ),
        DataLoader(fixed, **options),
    )
