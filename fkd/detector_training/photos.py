"""Whole photos with all their faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.detect import BoxFile
from fkd.geometry import Correction, Jitter, eye_rolls, square, square_around
from fkd.inference.predictor import Net, Predictor
from fkd.io import images
from fkd.terminal import progress
from fkd.types import Face, Image, Points

BOXES = "face_boxes.json"
"""File of a set of whole photos: path -> [left, top, right, bottom, score] of all faces, in pixels."""


_PLAUSIBLE = 1.6  # largest distance of a net's points from the training shapes: 95 % of validation faces are below 1
SURE = 0.5
"""Least score of a box that is taken for a face in training."""


class Labels(NamedTuple):
    """The N faces of an image.

    Attributes:
        centres: (N, 2) of the squares around their points, pixels.
        sides: (N,) widths of these squares.
        rolls: (N,) degrees by which each head is turned clockwise on the image.
        scores: (N,) of the detector that found them, 0 to 1; below `SURE` they may be faces or not.
    """

    centres: npt.NDArray[np.float32]
    sides: npt.NDArray[np.float32]
    rolls: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    @classmethod
    def of(cls, squares: Points, rolls: npt.ArrayLike, scores: npt.ArrayLike) -> Labels:
        """Of squares (N, 4) that are turned about their centres."""
        centres, sides = (squares[:, :2] + squares[:, 2:]) / 2, squares[:, 2] - squares[:, 0]
        return cls(centres.astype(np.float32), sides, np.asarray(rolls, np.float32), np.asarray(scores, np.float32))

    @classmethod
    def none(cls) -> Labels:
        """Of an image without faces."""
        return cls(np.zeros((0, 2), np.float32), *np.zeros((3, 0), np.float32))

    @property
    def squares(self) -> Points:
        """(N, 4) upright squares of these centres and widths."""
        return square(self.centres, self.sides)

    def rows(self) -> Iterator[tuple[float, float, float, float, float]]:
        """x, y, side, roll and score of each face."""
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


def boxed_photos(root: str, leave_out: Sequence[str], correction: Correction, net: Net, smallest: float) -> list[Photo]:
    """Photos below a folder of which another detector has found all faces, in the folder's `face_boxes.json`.

    The keypoints that a net finds in these boxes give the square and the roll to learn.

    Args:
        root: the folder.
        leave_out: photos whose path starts with one of these are left out, such as those of a test set.
        correction: from the boxes to the squares around the points, where the net finds none of a plausible shape.
        net: finds the points.
        smallest: width in pixels of a square in which the net finds points.

    Raises:
        UserError: the file or a photo is missing, or wrong.
    """
    file = Path(root, BOXES)
    boxes = BoxFile(str(file), correction, Jitter(0, 0, 0), None)
    finder = Predictor(net, boxes, False, images.MAX_PIXELS)
    names = [name for name in boxes.images if not name.startswith(tuple(leave_out))]
    photos = []
    with progress(f"Reading {root}", len(names)) as done:
        for name, found in zip(names, finder.stream([Path(root, name) for name in names]), strict=True):
            if found.error is not None:
                raise found.error
            assert found.image is not None
            labels = _labels(found.faces, finder, smallest)
            photos.append(Photo(name, images.in_channels(found.image, 1), labels))
            done()
    return photos


def _labels(faces: Sequence[Face], finder: Predictor, smallest: float) -> Labels:
    if not faces:
        return Labels.none()
    keypoints = np.stack([face.keypoints for face in faces])
    boxes = np.stack([face.box for face in faces])
    shapes = finder.net.metadata.shapes
    known = np.ones(len(faces), bool) if shapes is None else shapes.plausible(keypoints, _PLAUSIBLE)
    known &= boxes[:, 2] - boxes[:, 0] >= smallest
    rolls = np.where(known, eye_rolls(keypoints, finder.schema), 0)
    squares = np.where(known[:, None], square_around(keypoints, rolls), boxes)
    return Labels.of(squares, rolls, np.array([1 if face.score is None else face.score for face in faces]))


def annotated_photos(faces: Faces, split: str) -> list[Photo]:
    """The images of a keypoint data set; faces that it does not annotate are taken for background."""
    table = faces.subset(split)
    rolls = eye_rolls(table.keypoints, table.schema)
    squares = square_around(table.keypoints, rolls)
    photos = []
    for image in np.unique(table.images):
        rows = np.flatnonzero(table.images == image)
        labels = Labels.of(squares[rows], rolls[rows], np.ones(len(rows)))
        photos.append(Photo(str(table.paths[rows[0]]), images.in_channels(faces.images[image], 1), labels))
    return photos
