"""Training images: parts of photos at any scale and angle, beside each other."""

import math
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fkd.detect.centernet import MULTIPLE
from fkd.detector_training.photos import Labels, Photo
from fkd.detector_training.targets import maps_of
from fkd.detector_training.textures import texture
from fkd.errors import UserError
from fkd.geometry import transform, warp
from fkd.io.ranges import Share, Within, check_arguments
from fkd.types import Image

_SEEN = 0.4  # share of a face's square inside of the image from which on it counts as a face
_PARTS = 0.35, 0.4, 0.25  # shares of images that are divided into 1, 2 and 3 columns; the same for rows
_SMALLEST = 8.0  # pixels: narrower faces are no lesson
_UPRIGHT, _ANY = 0.55, 0.25  # shares of images that are turned little, and by any angle; others by up to 45 degrees
_LITTLE = 10.0  # standard deviation in degrees of a small turn
_MOST_ZOOM = 4.0  # enlargement of a photo


class Mosaic(NamedTuple):
    """An image and what a net shall give for it, or a batch of them."""

    image: Tensor  # (1, S, S) uint8
    maps: Tensor  # (8, S/8, S/8) float32 of `maps_of`


class Mosaics(Dataset[Mosaic]):
    """Images that are made when they are asked for, from torch's random numbers.

    An image shows parts of one to nine photos (as in Bochkovskiy et al., "YOLOv4", arXiv:2004.10934, section 3.3). Some
    parts are textures without a face.

    Args:
        sets: photos; from each set so many parts as its share says.
        shares: of the sets, in any unit.
        size: width and height of an image in pixels, a multiple of 32.
        faces: width in pixels of the smallest and of the largest face that a photo is scaled to.
        textures: share of the parts that are textures.
        hard: share of the other parts that show a place where the initial net was wrong (`Photo.mistakes`).
        length: number of images of an epoch.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[Photo]],
        shares: Annotated[Sequence[float], Within(1e-6, 1e6)],
        size: Annotated[int, Within(2 * MULTIPLE, 4096)],
        faces: Annotated[Sequence[float], Within(1, 4096)],
        textures: Share,
        hard: Share,
        length: Annotated[int, Within(1, 1e9)],
    ) -> None:
        own = {"shares": shares, "size": size, "faces": faces, "textures": textures, "hard": hard, "length": length}
        try:
            check_arguments(Mosaics, own, "mosaics")
        except ValueError as error:
            raise UserError(str(error)) from None
        if size % MULTIPLE:
            raise UserError(f"mosaics.size={size}: expected a multiple of {MULTIPLE}")
        if not (isinstance(faces, Sequence) and len(faces) == 2 and faces[0] < faces[1]):
            raise UserError(f"mosaics.faces={faces}: expected the smallest and the largest width in pixels")
        if not (isinstance(shares, Sequence) and len(shares) == len(sets)):
            raise UserError(f"mosaics.shares={shares}: expected {len(sets)} numbers, the last for data")
        self.sets, self.shares = sets, np.array(shares, np.float64) / sum(shares)
        self.size, self.faces, self.textures, self.hard, self.length = size, faces, textures, hard, length
        self.mistakes = [(photo, box) for photos in sets for photo in photos for box in photo.mistakes]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Mosaic:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        image, labels = self.image(rng)
        return Mosaic(torch.from_numpy(image)[None], torch.from_numpy(maps_of(labels, self.size)))

    def image(self, rng: np.random.Generator) -> tuple[Image, Labels]:
        """An image (S, S) and its faces."""
        size, canvas, found = self.size, np.zeros((self.size, self.size), np.uint8), []
        columns, rows = (_spans(size, int(count), rng) for count in rng.choice([1, 2, 3], 2, p=_PARTS))
        for (left, right), (top, bottom) in product(columns, rows):
            extent = (right - left, bottom - top)
            is_texture = rng.random() < self.textures
            part, labels = (texture(extent, rng), Labels.none()) if is_texture else self._part(extent, rng)
            canvas[top:bottom, left:right] = _photographed(part, rng)
            found.append(labels._replace(centres=labels.centres + np.array([left, top], np.float32)))
        labels = Labels(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
        if rng.random() < 0.3:
            noise = rng.normal(0, rng.uniform(2, 16), canvas.shape).astype(np.float32)
            canvas = np.clip(canvas + noise, 0, 255).astype(np.uint8)
        return canvas, labels

    def _part(self, extent: tuple[int, int], rng: np.random.Generator) -> tuple[Image, Labels]:
        """A part (h, w) of a photo, and its faces in pixels of the part."""
        least, largest = self.faces
        focus: npt.NDArray[np.floating] | None = None
        if self.mistakes and rng.random() < self.hard:
            photo, box = self.mistakes[int(rng.integers(len(self.mistakes)))]
            focus, side = (box[:2] + box[2:]) / 2, float(box[2] - box[0])
        else:
            photos = self.sets[int(rng.choice(len(self.sets), p=self.shares))]
            photo = photos[int(rng.integers(len(photos)))]
            if len(photo.labels.sides) and rng.random() < 0.9:
                chosen = int(rng.integers(len(photo.labels.sides)))
                focus, side = photo.labels.centres[chosen], float(photo.labels.sides[chosen])
        height, width = photo.image.shape
        if focus is None:
            zoom = math.exp(rng.uniform(math.log(0.25), math.log(2.0)))
            focus, place = rng.uniform(0, 1, 2) * (width, height), np.array(extent) / 2
        else:
            wanted = math.exp(rng.uniform(math.log(least), math.log(max(least, min(largest, 1.2 * min(extent))))))
            zoom, place = wanted / side, rng.uniform(0, 1, 2) * extent
        matrix = _similarity(min(zoom, _MOST_ZOOM), _angle(rng), bool(rng.random() < 0.5), focus, place)
        part = warp(photo.image, matrix, np.empty((max(extent), max(extent)), np.uint8))[: extent[1], : extent[0]]
        corners = transform(np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5, matrix)
        inside = cv2.fillConvexPoly(np.zeros(extent[::-1], np.uint8), corners.round().astype(np.int32), 1)
        if not inside.all() and (kind := rng.random()) < 0.7:  # where the photo ends it stays black otherwise
            beyond = texture(extent, rng) if kind < 0.4 else np.full(extent[::-1], rng.integers(256), np.uint8)
            part = np.where(inside == 1, part, beyond)
        return part, _moved(photo.labels, matrix, extent)


def _spans(size: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """`count` spans of about the same length, from 0 to `size`."""
    cuts = np.arange(1, count) * size / count + rng.uniform(-0.3, 0.3, count - 1) * size / count
    edges = [0, *cuts.round().astype(int).tolist(), size]
    return list(pairwise(edges))


def _angle(rng: np.random.Generator) -> float:
    """Radians by which a photo is turned clockwise."""
    kind = rng.random()
    if kind < _UPRIGHT:
        return math.radians(float(rng.normal(0, _LITTLE)))
    return float(rng.uniform(-math.pi, math.pi) if kind < _UPRIGHT + _ANY else rng.uniform(-math.pi / 4, math.pi / 4))


def _similarity(
    zoom: float, angle: float, mirrored: bool, focus: npt.NDArray[np.floating], place: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """(2, 3) that takes `focus` to `place`, after mirroring left and right."""
    turn = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if mirrored:
        turn[:, 0] *= -1
    return np.concatenate([turn, (place - turn @ focus)[:, None]], axis=1)


def _moved(labels: Labels, matrix: npt.NDArray[np.float64], extent: tuple[int, int]) -> Labels:
    """The faces after a similarity, with those that `extent` cuts away unsure or left out."""
    if not len(labels.sides):
        return labels
    mirrored = np.linalg.det(matrix[:, :2]) < 0
    turned = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])) - (180 if mirrored else 0)
    centres = transform(labels.centres, matrix)
    sides = (labels.sides * math.sqrt(abs(np.linalg.det(matrix[:, :2])))).astype(np.float32)
    rolls = (turned + (-labels.rolls if mirrored else labels.rolls)).astype(np.float32)
    half = sides[:, None] / 2
    edges = np.minimum(centres + half, extent) - np.maximum(centres - half, 0)
    seen = np.clip(edges, 0, None).prod(axis=1) / sides**2
    scores = np.where((seen >= _SEEN) & (sides >= _SMALLEST), labels.scores, 0).astype(np.float32)
    kept = seen > 0
    return Labels(centres[kept], sides[kept], rolls[kept], scores[kept])


def _photographed(image: Image, rng: np.random.Generator) -> Image:
    """Another exposure, sharpness and resolution."""
    part: cv2.typing.MatLike = image
    if rng.random() < 0.25:  # a low resolution
        factor = rng.uniform(1.2, 3)
        small = (max(int(part.shape[1] / factor), 1), max(int(part.shape[0] / factor), 1))
        part = cv2.resize(cv2.resize(part, small, interpolation=cv2.INTER_AREA), part.shape[::-1])
    kind = rng.random()
    if kind < 0.15:
        part = cv2.GaussianBlur(part, (0, 0), rng.uniform(0.4, 2))
    elif kind < 0.2:
        line = np.zeros((9, 9), np.float32)
        ends = (rng.normal(0, 3, 2)).round().astype(int)
        cv2.line(line, (4 - ends[0], 4 - ends[1]), (4 + ends[0], 4 + ends[1]), 1.0)
        part = cv2.filter2D(part, -1, line / line.sum())
    levels = np.linspace(0, 1, 256) ** math.exp(rng.normal(0, 0.35))
    low, high = rng.uniform(0, 0.35), rng.uniform(0.65, 1)
    if rng.random() < 0.6:
        low, high = low / 4, 1 - (1 - high) / 4
    return np.asarray(cv2.LUT(part, (255 * (low + (high - low) * levels)).astype(np.uint8)), np.uint8)
