"""Whole photos with all their faces."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.image_hashes import file_hash
from fkd.detect import BoxFile
from fkd.geometry import Correction, Jitter, eye_rolls, square, square_around
from fkd.inference.predictor import Net, Predictor
from fkd.io import images
from fkd.io.regular import regular_file
from fkd.terminal import progress
from fkd.types import Face, Image, Points

BOXES = "face_boxes.json"
"""File of a set of whole photos: path -> [left, top, right, bottom, score] of all faces, in pixels."""


_PLAUSIBLE = 1.6  # largest distance of a net's points from the training shapes: 95 % of validation faces are below 1
_LONGEST = 1024  # pixels: longer photos are shrunk, since all are kept in memory
_ADVICE = "give a folder of photos that has it (docs/face_detector.md)"
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
        hash: of its file; 0 if it is unknown.
        mistakes: (M, 4) squares where the initial net missed a face, or found one that is none.
    """

    name: str
    image: Image
    labels: Labels
    hash: int = 0
    mistakes: Points = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def boxed_photos(root: str, correction: Correction, net: Net, smallest: float) -> list[Photo]:
    """Photos below a folder of which another detector has found all faces, in the folder's `face_boxes.json`.

    The keypoints that a net finds in these boxes give the square and the roll to learn.

    Args:
        root: the folder.
        correction: from the boxes to the squares around the points, where the net finds none of a plausible shape.
        net: finds the points.
        smallest: width in pixels of a square in which the net finds points.

    Raises:
        UserError: the file or a photo is missing, or wrong.
    """
    file = Path(root, BOXES)
    regular_file(file, f"{BOXES} with the boxes of all faces", _ADVICE, f"photos={root}").close()
    boxes = BoxFile(str(file), correction, Jitter(0, 0, 0), None)
    finder = Predictor(net, boxes, False, images.MAX_PIXELS)
    names = boxes.images
    paths, photos = [Path(root, name) for name in names], []
    with progress(f"Reading {root}", len(names)) as done:
        for name, path, found in zip(names, paths, finder.stream(paths), strict=True):
            if found.error is not None:
                raise found.error
            assert found.image is not None
            labels = _labels(found.faces, finder, smallest)
            photos.append(_small(Photo(name, images.in_channels(found.image, 1), labels, file_hash(path))))
            done()
    return photos


def _small(photo: Photo) -> Photo:
    """The photo, shrunk if it is larger than a mosaic needs."""
    height, width = photo.image.shape
    if (zoom := _LONGEST / max(height, width)) >= 1:
        return photo
    size, labels = (max(round(zoom * width), 1), max(round(zoom * height), 1)), photo.labels
    small = np.asarray(cv2.resize(photo.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    centres = ((labels.centres + 0.5) * zoom - 0.5).astype(np.float32)
    return replace(photo, image=small, labels=labels._replace(centres=centres, sides=labels.sides * np.float32(zoom)))


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


def annotated_photos(faces: Faces, split: str, but: Collection[int]) -> list[Photo]:
    """The images of a keypoint data set; faces that it does not annotate are taken for background.

    Args:
        faces: the data set.
        split: "train", "val", "test" or "all".
        but: hashes of images that are left out.
    """
    table = faces.subset(split)
    table = table.take(np.flatnonzero(~np.isin(table.image_hashes, np.array([*but], np.uint64))))
    rolls = eye_rolls(table.keypoints, table.schema)
    squares = square_around(table.keypoints, rolls)
    photos = []
    for image in np.unique(table.images):
        rows = np.flatnonzero(table.images == image)
        labels = Labels.of(squares[rows], rolls[rows], np.ones(len(rows)))
        photos.append(Photo(str(table.paths[rows[0]]), images.in_channels(faces.images[image], 1), labels))
    return photos
