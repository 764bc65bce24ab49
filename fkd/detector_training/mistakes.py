"""Where a detector is wrong on the photos that it learns from, so that it sees more of these places."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fkd.detect import Detector
from fkd.detector_training.photos import Labels, Photo
from fkd.detector_training.scores import CLEAR, Found, look
from fkd.detector_training.textures import texture
from fkd.types import Points

LEAST = 0.2
"""Least score of a box that can be a mistake."""

_TEXTURES, _EXTENT = 1000, (320, 320)  # that are searched for faces; width and height of each in pixels


def of_all_known(detector: Detector, photos: Sequence[Photo]) -> list[Photo]:
    """Photos whose faces are all known; mistakes are a detector's false boxes and missed faces."""
    return [replace(each.photo, mistakes=_wrong(each)) for each in look(detector, photos)]


def of_some_known(detector: Detector, photos: Sequence[Photo]) -> list[Photo]:
    """The same for photos with unknown faces: where a detector is sure of one, nothing is learned."""
    return [_unclear(each) for each in look(detector, photos)]


def of_textures(detector: Detector, rng: np.random.Generator) -> list[Photo]:
    """Textures on which a detector sees faces."""
    drawn = [Photo("", texture(_EXTENT, rng), Labels.none()) for _ in range(_TEXTURES)]
    return [photo for photo in of_all_known(detector, drawn) if len(photo.mistakes)]


def _wrong(found: Found) -> Points:
    judged = found.judged(LEAST)
    return np.concatenate([judged.false, judged.missed])


def _unclear(found: Found) -> Photo:
    unknown = found.judged(CLEAR).false
    labels = Labels.of(unknown, np.zeros(len(unknown)), np.zeros(len(unknown)))
    wider = Labels(*(np.concatenate(columns) for columns in zip(found.photo.labels, labels, strict=True)))
    photo = replace(found.photo, labels=wider)
    return replace(photo, mistakes=_wrong(replace(found, photo=photo)))
