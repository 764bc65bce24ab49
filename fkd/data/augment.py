"""Augmentation of crops: a list of albumentations transforms, and mirroring that swaps left and right points.

The only module that imports albumentations.
"""

import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise its import looks for updates in the network
import albumentations
from albumentations.augmentations.dropout.transforms import BaseDropout

from fkd.data.counter_random import CounterRandom
from fkd.errors import UserError
from fkd.schema import KeypointSchema
from fkd.types import Image, Points

_Transform = Any
"""albumentations.BasicTransform or BaseCompose, which have no types."""
_Step = Callable[[Image, Points, CounterRandom], None]
"""Changes images (B, S, S) or (B, S, S, C) and keypoints (B, K, 2) in place."""
_MIRRORS = ("HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry")


class Moves(NamedTuple):
    """The geometric part of the augmentation of B crops."""

    matrix: npt.NDArray[np.float64]  # (B, 2, 3) crop pixels -> crop pixels
    order: npt.NDArray[np.int64]  # (B, K) new order of the points: in a mirrored crop left becomes right


class Augmentation:
    """Changes a batch of crops and their points together; all points are kept, in their order.

    Mirroring and the `Affine` transforms at the start of the list are part of the warp that cuts the crop from its
    photo (`moves`): they cost almost nothing, pixels are interpolated once, and rotated corners show the photo. The
    other transforms follow in the list's order (`__call__`). The result of an item does not depend on its batch.

    Args:
        transforms: albumentations transforms, applied in turn.
        flip: probability that the crop is mirrored and left and right points are swapped.
        schema: defines which points are each other's mirror image.

    Raises:
        UserError: a transform mirrors by itself, without swapping left and right points.
    """

    def __init__(self, transforms: Sequence[_Transform], flip: float, schema: KeypointSchema) -> None:
        if not (isinstance(flip, int | float) and 0 <= flip <= 1):
            raise UserError(f"augmentation.flip: expected a probability from 0 to 1, found {flip!r}")
        for transform in _with_children(transforms):
            if (name := type(transform).__name__) in _MIRRORS:
                raise UserError(
                    f"augmentation: {name} mirrors faces without swapping left and right points; "
                    "use augmentation.flip=0.5 instead"
                )
        self._affines = list(takewhile(_is_warp, transforms))
        self._steps = [_step(transform) for transform in transforms[len(self._affines) :]]
        self._flip, self._orders = flip, np.array([range(len(schema)), schema.flip])

    def moves(self, size: int, random: CounterRandom) -> Moves:
        """Rotation, scale, shift and mirroring of B crops, `size` pixels wide."""
        matrix = np.eye(3)
        for affine in self._affines:
            matrix = _affine(affine, size, random) @ matrix
        mirrored = random.uniform(1)[:, 0] < self._flip
        mirror = np.array([np.eye(3), [[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]]])[mirrored.astype(int)]
        return Moves((mirror @ matrix)[:, :2], self._orders[mirrored.astype(int)])

    def __call__(self, images: Image, keypoints: Points, random: CounterRandom) -> None:
        """Applies all that is not in `moves` to images (B, S, S) or (B, S, S, C) and keypoints (B, K, 2), in place."""
        for step in self._steps:
            step(images, keypoints, random)


def _step(transform: _Transform) -> _Step:
    is_tone = type(transform) is albumentations.RandomBrightnessContrast
    if is_tone and transform.brightness_by_max and not transform.ensure_safe_range:  # the same for every image
        return _Tone(transform)
    return _Pixels(transform) if _keeps_points(transform) else _WithPoints(transform)


class _Tone:
    """`RandomBrightnessContrast` of uint8 images by lookup tables, made for the whole batch."""

    def __init__(self, transform: albumentations.RandomBrightnessContrast) -> None:
        self.p, self.contrast, self.brightness = transform.p, transform.contrast_limit, transform.brightness_limit

    def __call__(self, images: Image, keypoints: Points, random: CounterRandom) -> None:
        chance, contrast, brightness = random.uniform(3).T
        (chosen,) = np.nonzero(chance < self.p)
        factor = 1 + _between(contrast[chosen], self.contrast)
        offset = _between(brightness[chosen], self.brightness) * 255
        for i, table in zip(chosen, tone_tables(factor, offset), strict=True):
            cv2.LUT(images[i], table, dst=images[i])


class _Pixels:
    """An albumentations transform that moves no points."""

    def __init__(self, transform: _Transform) -> None:
        self.transform, self.random = transform, _Random()
        kinds = albumentations.BasicTransform | albumentations.OneOf | albumentations.Sequential
        self.p = transform.p if isinstance(transform, kinds) else 1.0  # others apply p in spite of force_apply
        transform.set_random_state(self.random.numbers, self.random.python)

    def __call__(self, images: Image, keypoints: Points, random: CounterRandom) -> None:
        chance, words = random.uniform(1)[:, 0], random.words(2)
        for i in np.nonzero(chance < self.p)[0]:
            self.random.seed(words[i])
            _replace(images[i], self.transform(image=images[i], force_apply=True)["image"], self.transform)


class _WithPoints:
    """An albumentations transform that moves points, too."""

    def __init__(self, transform: _Transform) -> None:
        points = albumentations.KeypointParams(format="xy", remove_invisible=False)
        self.transform, self.random = transform, _Random()
        self.compose = albumentations.Compose([transform], keypoint_params=points)
        self.compose.set_random_state(self.random.numbers, self.random.python)

    def __call__(self, images: Image, keypoints: Points, random: CounterRandom) -> None:
        for image, points, words in zip(images, keypoints, random.words(2), strict=True):
            self.random.seed(words)
            changed = self.compose(image=image, keypoints=points)
            if (found := len(changed["keypoints"])) != len(points):
                name = type(self.transform).__name__
                raise UserError(
                    f"augmentation: expected {len(points)} points from {name}, found {found}; where it has the option, "
                    "set keypoint_remapping_method=direct, or leave it out"
                )
            _replace(image, changed["image"], self.transform)
            points[:] = changed["keypoints"]


class _Random:
    """The two generators that albumentations uses, seeded for each item."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(0)
        self._start = self._bits.state
        self.numbers, self.python = np.random.Generator(self._bits), random.Random()

    def seed(self, words: npt.NDArray[np.uint64]) -> None:
        self._start["state"]["key"][:] = words
        self._bits.state = self._start
        self.python.seed(int(words[0]))


def _replace(crop: Image, changed: np.ndarray, transform: _Transform) -> None:
    if changed.shape != crop.shape or changed.dtype != np.uint8:
        raise UserError(
            f"augmentation: expected uint8 {crop.shape} from {type(transform).__name__}, found {changed.dtype} "
            f"{changed.shape}; leave it out: nets are given uint8 crops of crop.size"
        )
    crop[:] = changed


def tone_tables(factor: npt.NDArray[np.floating], offset: npt.NDArray[np.floating]) -> Image:
    """(n,) contrast and (n,) brightness -> (n, 256) lookup tables for uint8 images."""
    values = np.arange(256, dtype=np.float32) * factor[:, None].astype(np.float32) + offset[:, None].astype(np.float32)
    return np.clip(values, 0, 255).astype(np.uint8)


def _affine(transform: albumentations.Affine, size: int, random: CounterRandom) -> npt.NDArray[np.float64]:
    """(B, 3, 3) random matrices as of albumentations for crops of this size; with probability 1 - p the identity."""
    chance, turn, *rest = random.uniform(6).T
    angle = np.deg2rad(_between(turn, transform.rotate))
    shares = transform.translate_percent or {"x": (0, 0), "y": (0, 0)}
    wide, high = (_between(u, transform.scale[axis]) for u, axis in zip(rest[:2], "xy", strict=True))
    right, down = (np.trunc(_between(u, shares[axis]) * size) for u, axis in zip(rest[2:], "xy", strict=True))
    matrices = affine_matrices(angle, wide, wide if transform.keep_ratio else high, right, down, size)
    matrices[chance >= transform.p] = np.eye(3)
    return matrices


def affine_matrices(
    angle: npt.NDArray[np.floating],
    wide: npt.NDArray[np.floating],
    high: npt.NDArray[np.floating],
    right: npt.NDArray[np.floating],
    down: npt.NDArray[np.floating],
    size: int,
) -> npt.NDArray[np.float64]:
    """(B, 3, 3): scale by `wide` and `high`, rotate left by `angle` (radians) about the crop's centre, then shift."""
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    middle = (size - 1) / 2
    linear = np.array([[wide * cos, high * sin], [-wide * sin, high * cos]])
    x, y = np.array([right, down]) + middle - linear.sum(axis=1) * middle
    return np.moveaxis(np.array([[*linear[0], x], [*linear[1], y], [zero, zero, one]]), -1, 0)


def _between(uniform: npt.NDArray[np.floating], limits: Sequence[float]) -> npt.NDArray[np.floating]:
    low, high = limits
    return low + (high - low) * uniform


def _is_warp(transform: _Transform) -> bool:
    """Whether it is an `Affine` that can be part of the warp that cuts the crop."""
    if type(transform) is not albumentations.Affine:
        return False
    defaults = {"border_mode": cv2.BORDER_CONSTANT, "fill": 0, "interpolation": cv2.INTER_LINEAR}
    return (
        all(getattr(transform, name) == value for name, value in defaults.items())
        and not (transform.fit_output or transform.balanced_scale)
        and not np.any([*transform.shear.values(), *(transform.translate_px or {}).values()])
    )


def _keeps_points(transform: _Transform) -> bool:
    if isinstance(transform, albumentations.BaseCompose):
        return all(_keeps_points(child) for child in transform.transforms)
    return isinstance(transform, albumentations.ImageOnlyTransform | BaseDropout)


def _with_children(transforms: Iterable[_Transform]) -> Iterator[_Transform]:
    """The transforms and those in them, such as those of OneOf."""
    for transform in transforms:
        yield transform
        yield from _with_children(getattr(transform, "transforms", ()))
