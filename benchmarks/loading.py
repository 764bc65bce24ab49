"""The speed of data on one thread: reading, crops and augmentation of fkd and of common alternatives."""

import copy
import itertools
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.figures import Row, in_turn, one_thread
from benchmarks.notebook import NotebookDataset, notebook_dataset
from fkd.codecs import Codec
from fkd.config import CONF, checks
from fkd.config.build_parts import build_crop
from fkd.config.faces import build_faces
from fkd.config.instantiate import instantiate
from fkd.data.augment import Augmentation
from fkd.data.counter_random import CounterRandom
from fkd.data.dataset import CropDataset
from fkd.errors import UserError
from fkd.geometry import Crop, affine_after, channels_first, crop_images, crop_matrices, transform
from fkd.terminal import progress
from fkd.types import Batch, Image, Points

_BLOCK = 8
"""Batches of a side in each of its turns, after one that is not timed."""

Side = Callable[[list[int]], Any]
"""Makes a batch of the given rows of the training split."""
Change = Callable[[Image, Points], tuple[Tensor, Tensor]]
"""A crop (S, S) or (S, S, C) and its points (K, 2) -> both augmented: (C, S, S), (K, 2)."""

warnings.filterwarnings("ignore", r"RandomErasing\(\) is currently passing through")  # unchanged points are right


def measure(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """Crops per second of fkd and of alternatives, for the same training rows; then of each step of fkd.

    Augmentations are `light` and `strong` of `conf/augmentation`, whatever the config of this run.
    """
    one_thread()
    torch.manual_seed(cfg.seed)
    turns, size = checks.whole(cfg, "turns", least=2), checks.whole(cfg, "data.batch_size", least=1)
    faces, crop = build_faces(cfg), build_crop(cfg.crop)
    data = CropDataset(faces.some("train"), faces.images, crop.training, crop.size, None, cfg.seed)
    notebook, codec = notebook_dataset(cfg, faces, scratch), instantiate(cfg.model.codec, "model.codec")
    timed = partial(microseconds, faces=len(data), size=size, turns=turns)
    augmentations: dict[str, Any] = {
        name: OmegaConf.load(CONF / f"augmentation/{name}.yaml") for name in ("light", "strong")
    }
    rows: dict[str, list[Row]] = {}
    with progress("Measuring", 4) as advance:
        rows["data alone, no augmentation"] = [*rates(timed(loading(data, notebook, codec)))]
        advance()
        rows["crop and augmentation"] = []
        for name, config in augmentations.items():
            rows["crop and augmentation"] += rates(timed(augmenting(data, config)), f", {name}")
            advance()
        steps = timed(parts(data, augmentations["strong"]))
        rows["parts of strong, one crop"] = [
            Row.of(name, values.tolist(), "us a crop") for name, values in steps.items()
        ]
        advance()
    return rows


def microseconds(sides: Mapping[str, Side], faces: int, size: int, turns: int) -> dict[str, npt.NDArray[np.floating]]:
    """Microseconds per crop of each side, a mean for each turn; all sides get the same batches of `size` rows.

    Means, since a busy machine delays few of the short batches and all long ones: medians would favour fast sides.
    """
    calls = {name: partial(_make_next, side, _batches(faces, size)) for name, side in sides.items()}
    times = in_turn(calls, turns * _BLOCK, warm_up=1, block=_BLOCK)
    return {name: np.reshape(values, (turns, _BLOCK)).mean(axis=1) * 1000 / size for name, values in times.items()}


def _make_next(side: Side, batches: Iterator[list[int]]) -> None:
    side(next(batches))


def _batches(faces: int, size: int) -> Iterator[list[int]]:
    """Endless batches of rows, in a new order each epoch; the same for each call."""
    rng = np.random.default_rng(0)
    rows = itertools.chain.from_iterable(rng.permutation(faces).tolist() for _ in itertools.count())
    while True:
        yield [*itertools.islice(rows, size)]


def rates(times: Mapping[str, npt.NDArray[np.floating]], what: str = "") -> Iterator[Row]:
    """Items per second of sides from microseconds per item; then the ratio of the first side to each other, by turn."""
    for name, values in times.items():
        yield Row.of(name + what, (1e6 / values).tolist(), "items a second")
    ours, *others = times
    for other in others:
        yield Row.of(f"{ours} over {other}{what}", (times[other] / times[ours]).tolist(), "x")


def loading(data: CropDataset, notebook: NotebookDataset, codec: Codec) -> dict[str, Side]:
    """Both sides end with float32 images from 0 to 1 and scaled keypoints."""

    def fkd(rows: list[int]) -> tuple[Tensor, Tensor]:
        batch = data.__getitems__(rows)
        return batch.image.float().div_(255), codec.encode(batch.keypoints)

    return {"fkd": fkd, "notebook loader": lambda rows: default_collate([notebook[row] for row in rows])}


def augmenting(data: CropDataset, config: DictConfig) -> dict[str, Side]:
    """All sides start with images of the cache and end with uint8 crops and their keypoints.

    The other sides are given their windows, so that only the time of fkd includes these.

    Args:
        data: crops without augmentation.
        config: an option of `augmentation`.
    """
    images_only = "" if _KEYPOINTS else ", images only"
    return {
        "fkd": augmented(data, config).__getitems__,
        "albumentations' own chain": OneByOne(data, config.flip, albumentations(config)),
        f"torchvision v2{images_only}": OneByOne(data, config.flip, torchvision(config)),
    }


def augmented(data: CropDataset, config: DictConfig) -> CropDataset:
    """The same crops with an augmentation."""
    changed = copy.copy(data)
    changed.augmentation = instantiate(config, "augmentation")(schema=data.table.schema)
    return changed


class OneByOne:
    """Crops as users of an augmentation library make them: cut, mirrored by hand and augmented one by one.

    Args:
        data: gives images and windows, which are computed beforehand.
        flip: probability that a crop is mirrored.
        change: the augmentation of the library.
    """

    def __init__(self, data: CropDataset, flip: float, change: Change) -> None:
        self.images, self.size, self.flip, self.change = data.images, data.size, flip, change
        self.table, self.random = data.table, np.random.default_rng(data.seed)
        self.order = np.array(self.table.schema.flip)
        sizes = np.array([data.images[image].shape[:2] for image in self.table.images.tolist()])
        boxes = data.boxes(self.table.keypoints, sizes, CounterRandom(data.seed, np.arange(len(data))))
        self.matrices = crop_matrices(boxes, data.size)

    def __call__(self, rows: list[int]) -> list[Tensor]:
        """(B, C, S, S) uint8 and (B, K, 2) float32, crop pixels."""
        batch: list[Tensor] = default_collate([self.item(row) for row in rows])
        return batch

    def item(self, row: int) -> tuple[Tensor, Tensor]:
        crop, photo = Crop(self.matrices[row], self.size), self.images[int(self.table.images[row])]
        image, points = crop.image(photo), crop.points(self.table.keypoints[row])
        if self.random.random() < self.flip:
            image = cv2.flip(image, 1)  # type: ignore[assignment]
            points = np.where([True, False], self.size - 1 - points, points)[self.order]
        return self.change(image, points)


def albumentations(config: DictConfig) -> Change:
    """One `albumentations.Compose` of an augmentation's transforms."""
    points = {"_target_": "albumentations.KeypointParams", "format": "xy", "remove_invisible": False}
    settings = {"_target_": "albumentations.Compose", "transforms": config.transforms, "keypoint_params": points}
    chain = instantiate(settings, "augmentation")

    def change(image: Image, keypoints: Points) -> tuple[Tensor, Tensor]:
        changed = chain(image=image, keypoints=keypoints)
        return torch.from_numpy(channels_first(changed["image"][None])[0]), torch.from_numpy(changed["keypoints"])

    return change


_KEYPOINTS = getattr(tv_tensors, "KeyPoints", None)
"""Missing in the oldest torchvision that fkd works with; without it points are not moved."""


def torchvision(config: DictConfig) -> Change:
    """One `v2.Compose` of the most similar transforms of torchvision.

    Raises:
        UserError: a transform has no similar one in torchvision.
    """
    chain = v2.Compose([v2.RandomApply([_nearest(t)], p=t.p) for t in _transforms(config)])

    def change(image: Image, keypoints: Points) -> tuple[Tensor, Tensor]:
        tensor, points = tv_tensors.Image(torch.from_numpy(channels_first(image[None])[0])), torch.from_numpy(keypoints)
        if _KEYPOINTS is None:
            return chain(tensor), points
        changed: tuple[Tensor, Tensor] = chain(tensor, _KEYPOINTS(points, canvas_size=image.shape[:2]))
        return changed

    return change


def _transforms(config: DictConfig) -> list[Any]:
    return [instantiate(transform, "augmentation.transforms") for transform in config.transforms]


_NEAREST: dict[str, Callable[[Any], v2.Transform]] = {
    "Affine": lambda t: v2.RandomAffine(
        t.rotate,
        translate=t.translate_percent and [np.abs(t.translate_percent[axis]).max() for axis in "xy"],
        scale=t.scale["x"],
        interpolation=v2.InterpolationMode.BILINEAR,
    ),
    "RandomBrightnessContrast": lambda t: v2.ColorJitter(
        brightness=tuple(1 + limit for limit in t.brightness_limit),
        contrast=tuple(1 + limit for limit in t.contrast_limit),
    ),
    "OneOf": lambda t: v2.RandomChoice([_nearest(child) for child in t.transforms]),
    "GaussianBlur": lambda t: v2.GaussianBlur(7, sigma=t.sigma_limit),
    "MotionBlur": lambda t: v2.GaussianBlur(t.blur_limit[1]),
    "GaussNoise": lambda t: v2.Compose(  # only the newest torchvision adds noise to uint8
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.GaussianNoise(sigma=sum(t.std_range) / 2),
            v2.ToDtype(torch.uint8, scale=True),
        ]
    ),
    "ImageCompression": lambda t: v2.JPEG(t.quality_range),
    "CoarseDropout": lambda t: v2.RandomErasing(
        p=1.0, scale=[high * wide for high, wide in zip(t.hole_height_range, t.hole_width_range, strict=True)]
    ),
}
"""Class of albumentations -> makes the most similar transform of torchvision, without the probability.

Motion blur becomes Gaussian, brightness a factor; noise has the mean strength; one black hole replaces several.
"""


def _nearest(transform: Any) -> v2.Transform:
    if (name := type(transform).__name__) not in _NEAREST:
        raise UserError(
            f"augmentation.transforms: expected {', '.join(_NEAREST)}, found {name}, which has no similar "
            "transform in torchvision"
        )
    return _NEAREST[name](transform)


def parts(data: CropDataset, config: DictConfig) -> dict[str, Side]:
    """The steps of `CropDataset.__getitems__` with an augmentation, each on the result of the step before.

    Args:
        data: crops without augmentation.
        config: an option of `augmentation` whose `Affine` transforms come first, so that they are part of the warp.
    """
    whole, schema = augmented(data, config), data.table.schema
    works: deque[Work] = deque()  # each step takes one from the left and puts it back on the right

    def step(do: Callable[[Work], Any]) -> Side:
        def side(rows: list[int]) -> None:
            work = works.popleft()
            do(work)
            works.append(work)

        return side

    changes = {}
    for change in _transforms(config):
        if (name := type(change).__name__) != "Affine":
            inside = " or ".join(type(child).__name__ for child in getattr(change, "transforms", ()))
            changes[f"{inside or name}, p={change.p:g}"] = Augmentation([change], 0.0, schema)
    return {
        "all of it": whole.__getitems__,
        "rows and images from the cache": lambda rows: works.append(Work(whole, rows)),
        "boxes and their matrices": step(Work.place),
        "mirror, Affine and points": step(Work.move),
        "warp": step(Work.warp),
        **{name: step(partial(Work.change, augmentation=change)) for name, change in changes.items()},
        "tensors of the batch": lambda rows: works.popleft().batch(),
    }


class Work:
    """A batch in `CropDataset.__getitems__`; its methods are the steps, in order."""

    def __init__(self, data: CropDataset, rows: list[int]) -> None:
        self.data, self.rows, self.random = data, np.array(rows), CounterRandom(data.seed, np.array(rows))
        self.table = data.table.take(self.rows)
        self.photos = [data.images[image] for image in self.table.images.tolist()]

    def place(self) -> None:
        sizes = np.array([photo.shape[:2] for photo in self.photos])
        self.matrices = crop_matrices(self.data.boxes(self.table.keypoints, sizes, self.random), self.data.size)

    def move(self) -> None:
        assert self.data.augmentation is not None
        moves, each = self.data.augmentation.moves(self.data.size, self.random), np.arange(len(self.rows))[:, None]
        self.shown = affine_after(moves.matrix, self.matrices)
        self.visible = self.table.visible[each, moves.order]
        self.points = transform(self.table.keypoints[each, moves.order], self.shown)

    def warp(self) -> None:
        self.crops = crop_images(self.photos, self.shown, self.data.size)

    def change(self, augmentation: Augmentation) -> None:
        augmentation(self.crops, self.points, self.random)

    def batch(self) -> Batch:
        others = (self.points, self.visible, self.matrices, self.table.label_shift, self.rows)
        return Batch(*map(torch.from_numpy, (channels_first(self.crops), *others)))
