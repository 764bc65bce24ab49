"""Whole photos with all their faces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.detect import BoxFile
from fkd.geometry import Correction, Jitter, square_around
from fkd.inference.predictor import Net, Predictor
from fkd.io import images
from fkd.schema import KeypointSchema
from fkd.terminal import progress
from fkd.types import Face, Image, Points

BOXES = "face_boxes.json"
"""File of a set of whole photos: path -> [left, top, right, bottom, score] of all faces, pixels from the left and top edge
of the image, from the hairline to the chin."""


class Labels(NamedTuple):
    """The N faces of an image.

    Attributes:
        centres: (N, 2) of the squares around their points, pixels.
        sides: (N,) widths of these squares.
        rolls: (N,) radians by which each head is turned clockwise on the image.
        is_sure: (N,) bool; the others may be faces or not, and nothing is learned from them.
    """

    centres: npt.NDArray[np.float32]
    sides: npt.NDArray[np.float32]
    rolls: npt.NDArray[np.float32]
    is_sure: npt.NDArray[np.bool_]

    @classmethod
    def none(cls) -> Labels:
        """Of an image without faces."""
        return cls(np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32), np.zeros(0, bool))

    def rows(self) -> Iterator[tuple[float, float, float, float, bool]]:
        """x, y, side, roll and `is_sure` of each face."""
        for (x, y), *others in zip(*(column.tolist() for column in self), strict=True):
            yield (x, y, *others)


@dataclass(frozen=True)
class Photo:
    """A whole photo.

    Attributes:
        name: of the file, relative to its set.
        image: (H, W) grey.
        labels: all its faces.
    """

    name: str
    image: Image
    labels: Labels


def boxed_photos(
    root: str, leave_out: Sequence[str], correction: Correction, net: Net, least: float, smallest: float
) -> list[Photo]:
    """Photos below a folder of which another detector has found all faces, in the folder's `face_boxes.json`.

    The keypoints that a net finds in these boxes give the square and the roll to learn. Boxes with a low score are
    faces or not: see `Labels.is_sure`.

    Args:
        root: the folder.
        leave_out: photos whose path starts with one of these are left out, such as those of a test set.
        correction: from the boxes to the squares around the points, where the net finds none of a plausible shape.
        net: finds the points.
        least: score of a sure face.
        smallest: width in pixels of a square in which the net finds points.

    Raises:
        UserError: the file or a photo is missing, or wrong.
    """
    file = Path(root, BOXES)
    finder = Predictor(net, BoxFile(str(file), correction, Jitter(0, 0, 0), None), False, images.MAX_PIXELS)
    names = [name for name in json.loads(file.read_text("utf-8")) if not name.startswith(tuple(leave_out))]
    photos = []
    with progress(f"Reading {root}", len(names)) as done:
        for name, found in zip(names, finder.stream([Path(root, name) for name in names]), strict=True):
            if found.error is not None:
                raise found.error
            assert found.image is not None
            labels = _labels(found.faces, finder, least, smallest)
            photos.append(Photo(name, images.in_channels(found.image, 1), labels))
            done()
    return photos


def _labels(faces: Sequence[Face], finder: Predictor, least: float, smallest: float) -> Labels:
    if not faces:
        return Labels.none()
    keypoints = np.stack([face.keypoints for face in faces])
    boxes = np.stack([face.box for face in faces])
    shapes = finder.net.metadata.shapes
    known = np.ones(len(faces), bool) if shapes is None else shapes.plausible(keypoints, _PLAUSIBLE)
    known &= boxes[:, 2] - boxes[:, 0] >= smallest
    centres, sides, rolls = turned_squares(keypoints, finder.schema)
    is_sure = np.array([face.score is None or face.score >= least for face in faces])
    return Labels(
        np.where(known[:, None], centres, (boxes[:, :2] + boxes[:, 2:]) / 2),
        np.where(known, sides, boxes[:, 2] - boxes[:, 0]),
        np.where(known, rolls, 0).astype(np.float32),
        is_sure,
    )


def annotated_photos(faces: Faces, split: str) -> list[Photo]:
    """The images of a keypoint data set; faces that it does not annotate are taken for background."""
    table = faces.subset(split)
    centres, sides, rolls = turned_squares(table.keypoints, table.schema)
    photos = []
    for image in np.unique(table.images):
        rows = np.flatnonzero(table.images == image)
        labels = Labels(centres[rows], sides[rows], rolls[rows], np.ones(len(rows), bool))
        photos.append(Photo(str(table.paths[rows[0]]), images.in_channels(faces.images[image], 1), labels))
    return photos


_PLAUSIBLE = 1.6  # largest distance of a net's points from the training shapes: 95 % of validation faces are below 1


def turned_squares(
    keypoints: Points, schema: KeypointSchema
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Smallest squares around points that are turned with the face, of (N, K, 2) points.

    Returns:
        Centres (N, 2), widths (N,) and rolls (N,): radians by which the line from the right to the left eye is turned
        clockwise on the image.
    """
    right, left = (keypoints[:, list(eye)].mean(axis=1) for eye in schema.eyes)
    x, y = (left - right).T
    rolls = np.arctan2(y, x).astype(np.float32)
    cos, sin = np.cos(rolls), np.sin(rolls)
    turn = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)  # (N, 2, 2), from upright to turned
    squares = square_around(keypoints @ turn)
    centres = np.squeeze(turn @ ((squares[:, :2] + squares[:, 2:]) / 2)[..., None], -1)
    return centres.astype(np.float32), squares[:, 2] - squares[:, 0], rolls


def boxed_photos(
    root: str, leave_out: Sequence[str], correction: Correction, net: Net, least: float, smallest: float
) -> list[Photo]:
    """Photos below a folder of which another detector has found all faces, in the folder's `face_boxes.json`.

    The keypoints that a net finds in these boxes give the square and the roll to learn. Boxes with a low score are
    faces or not: see `Labels.is_sure`.

    Args:
        root: the folder.
        leave_out: photos whose path starts with one of these are left out, such as those of a test set.
        correction: from the boxes to the squares around the points, where the net finds none of a plausible shape.
        net: finds the points.
        least: score of a sure face.
        smallest: width in pixels of a square in which the net finds points.

    Raises:
        UserError: the file or a photo is missing, or wrong.
    """
    file = Path(root, BOXES)
    finder = Predictor(net, BoxFile(str(file), correction, Jitter(0, 0, 0), None), False, images.MAX_PIXELS)
    names = [name for name in json.loads(file.read_text("utf-8")) if not name.startswith(tuple(leave_out))]
    photos = []
    with progress(f"Reading {root}", len(names)) as done:
        for name, found in zip(names, finder.stream([Path(root, name) for name in names]), strict=True):
            if found.error is not None:
                raise found.error
            assert found.image is not None
            labels = _labels(found.faces, finder, least, smallest)
            photos.append(Photo(name, images.in_channels(found.image, 1), labels))
            done()
    return photos


def _labels(faces: Sequence[Face], finder: Predictor, least: float, smallest: float) -> Labels:
    if not faces:
        return Labels.none()
    keypoints = np.stack([face.keypoints for face in faces])
    boxes = np.stack([face.box for face in faces])
    shapes = finder.net.metadata.shapes
    known = np.ones(len(faces), bool) if shapes is None else shapes.plausible(keypoints, _PLAUSIBLE)
    known &= boxes[:, 2] - boxes[:, 0] >= smallest
    centres, sides, rolls = turned_squares(keypoints, finder.schema)
    is_sure = np.array([face.score is None or face.score >= least for face in faces])
    return Labels(
        np.where(known[:, None], centres, (boxes[:, :2] + boxes[:, 2:]) / 2),
        np.where(known, sides, boxes[:, 2] - boxes[:, 0]),
        np.where(known, rolls, 0).astype(np.float32),
        is_sure,
    )


def annotated_photos(faces: Faces, split: str) -> list[Photo]:
    """The images of a keypoint data set; faces that it does not annotate are taken for background."""
    table = faces.subset(split)
    centres, sides, rolls = turned_squares(table.keypoints, table.schema)
    photos = []
    for image in np.unique(table.images):
        rows = np.flatnonzero(table.images == image)
        labels = Labels(centres[rows], sides[rows], rolls[rows], np.ones(len(rows), bool))
        photos.append(Photo(str(table.paths[rows[0]]), images.in_channels(faces.images[image], 1), labels))
    return photos


_PLAUSIBLE = 1.6  # largest distance of a net's points from the training shapes: 95 % of validation faces are below 1


def rolls_of(keypoints: Points, schema: KeypointSchema) -> npt.NDArray[np.float32]:
    """(N, K, 2) -> (N,) radians by which the line from the right to the left eye is turned clockwise on the image."""
    right, left = (keypoints[:, list(eye)].mean(axis=1) for eye in schema.eyes)
    x, y = (left - right).T
    return np.arctan2(y, x).astype(np.float32)
