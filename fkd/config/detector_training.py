"""Photos and loaders for training a face detector, of a config."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

import fkd
from fkd import distributed
from fkd.config import checks
from fkd.config.faces import build_faces
from fkd.config.instantiate import instantiate
from fkd.detect import Detector
from fkd.detector_training import mistakes
from fkd.detector_training.mosaics import Mosaic, Mosaics
from fkd.detector_training.photos import Photo, annotated_photos, boxed_photos
from fkd.detector_training.split import is_held_out
from fkd.errors import UserError
from fkd.terminal import show

Loader = DataLoader[Mosaic]
DETECTOR = "fkd.detect.CenterNet"


def check(cfg: DictConfig) -> int:
    """Check all values before photos are read; gives the number of training steps.

    Raises:
        UserError: naming the key.
    """
    checks.whole(cfg, "seed", least=0)
    checks.number(cfg, "labels.smallest", least=1)
    checks.whole(cfg, "validation", least=1)
    folders(cfg)
    _texts(cfg, "leave_out")
    if cfg.detector.get("_target_") != DETECTOR or cfg.detector.get("model") is not None:
        raise UserError(
            "detector: expected detector=fkd without a model, because the new net is the one that is scored"
        )
    mosaics = _mosaics(cfg, [[] for _ in range(len(cfg.photos) + 1)])
    epochs, size = (checks.whole(cfg, key, least=1) for key in ("trainer.max_epochs", "data.batch_size"))
    return int(epochs * -(-len(mosaics) // size))


def folders(cfg: DictConfig) -> list[str]:
    """The folders of `photos`.

    Raises:
        UserError: it is no list, or a folder is there twice.
    """
    found = [str(checks.path(cfg, f"photos[{i}]")) for i in range(len(_listed(cfg, "photos")))]
    if not found or len({*found}) < len(found):
        raise UserError(f"photos={found}: expected a list of folders, each once, such as [DIR]")
    return found


def _listed(cfg: DictConfig, key: str) -> list[Any]:
    value = OmegaConf.select(cfg, key, throw_on_missing=True)
    if not OmegaConf.is_list(value):
        raise UserError(f"{key}={value}: expected a list, such as [{value}]")
    return list(value)


def _texts(cfg: DictConfig, key: str) -> list[str]:
    values = _listed(cfg, key)
    if not all(isinstance(value, str) and value for value in values):
        raise UserError(f"{key}={values}: expected a list of texts")
    return values


def _mosaics(cfg: DictConfig, sets: Sequence[Sequence[Photo]], **changes: Any) -> Mosaics:
    options = {"sets": sets} | ({"shares": [1.0] * len(sets)} if cfg.mosaics.shares is None else {}) | changes
    made: Mosaics = instantiate(cfg.mosaics, "mosaics", _partial_=True)(**options)
    return made


def build_photos(cfg: DictConfig) -> list[list[Photo]]:
    """The photos of each folder of `photos`, and those of the training split of `data` that are not held out there.

    Raises:
        UserError: a folder or a file is missing or wrong, or a name in `leave_out` is that of no photo.
    """
    net = fkd.load(None if cfg.labels.net is None else checks.net(cfg, "labels.net")).net
    correction = instantiate(cfg.labels.correction, "labels.correction")
    sets = [boxed_photos(root, correction, net, cfg.labels.smallest) for root in folders(cfg)]
    for start in _texts(cfg, "leave_out"):
        kept = [[photo for photo in photos if not photo.name.startswith(start)] for photos in sets]
        if sum(map(len, kept)) == sum(map(len, sets)):
            raise UserError(f"leave_out={start}: expected the start of a photo's path, found no photo of that name")
        sets = kept
    faces = build_faces(cfg)
    show(*faces.remarks)
    but = {photo.hash for photos in held_out(sets) for photo in photos} - {0}
    return [*sets, annotated_photos(faces, "train", but)]


def held_out(folders: Sequence[Sequence[Photo]]) -> list[list[Photo]]:
    """The held-out photos of each folder."""
    return [[photo for photo in photos if is_held_out(photo.name)] for photos in folders]


def with_mistakes(sets: Sequence[Sequence[Photo]], detector: Detector, seed: int) -> list[list[Photo]]:
    """The photos of `build_photos` with a detector's mistakes; textures on which it sees faces join the last set."""
    *others, annotated = sets
    marked = []
    for photos in others:
        known = [photo for photo in photos if not is_held_out(photo.name)]
        unknown = [photo for photo in photos if is_held_out(photo.name)]
        marked.append([*unknown, *mistakes.of_all_known(detector, known)])
    textures = mistakes.of_textures(detector, np.random.default_rng(seed))
    marked.append([*mistakes.of_some_known(detector, annotated), *textures])
    show(f"mistakes of the initial net: {sum(len(photo.mistakes) for photos in marked for photo in photos):,}")
    return marked


def build_loaders(cfg: DictConfig, sets: Sequence[Sequence[Photo]]) -> tuple[Loader, Loader]:
    """Batches of mosaics of the photos that are not held out, and of those that are, the same in each epoch.

    Raises:
        UserError: there are too few photos.
    """
    unknown = held_out(sets[:-1])
    known = [*([photo for photo in photos if not is_held_out(photo.name)] for photos in sets[:-1]), sets[-1]]
    for root, training, validation in zip(folders(cfg), known, unknown, strict=False):
        if not training or not validation:
            raise UserError(
                f"photos={root}: expected photos for training and, one in five by its name, for validation, found "
                f"{len(training)} and {len(validation)}; give more photos"
            )
    if not known[-1]:
        raise UserError("data: expected faces in its training split, found none; give other data")
    mosaics, count = _mosaics(cfg, known), cfg.validation
    views = _mosaics(cfg, unknown, shares=mosaics.shares[:-1].tolist(), length=count)
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        fixed: Any = [views[i] for i in range(count)]
    workers, size = distributed.loader_workers(cfg.data.num_workers, 0), cfg.data.batch_size
    ahead = 4 if workers else None
    return (
        DataLoader(mosaics, size, num_workers=workers, persistent_workers=workers > 0, prefetch_factor=ahead),
        DataLoader(fixed, size),
    )
