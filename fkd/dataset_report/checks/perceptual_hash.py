"""Hashes by which images and faces are recognised."""

import cv2
import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.image_hashes import digest
from fkd.data.split import Rows
from fkd.dataset_report.checks.sampling import of_images
from fkd.geometry import adjust, crop_matrices, square_around, warp
from fkd.io import images
from fkd.terminal import progress
from fkd.types import Image

Bits = npt.NDArray[np.bool_]

SIDE = 32
"""Width and height of the crops that are hashed."""
_WAVES = 12
_CONTEXT = 1.2  # width of a crop over that of the square around the points
_FLAT = 4.0  # standard deviation of the grey values below which a crop shows nothing


def contents(faces: Faces, rows: Rows) -> npt.NDArray[np.int64]:
    """(M,) a number for each row (M,), equal for images with equal pixels."""
    numbers: dict[bytes, int] = {}
    return of_images(faces, rows, "Comparing images", lambda image: numbers.setdefault(digest(image), len(numbers)))


def face_hashes(faces: Faces, rows: Rows) -> tuple[Bits, Bits]:
    """(M, 143) bits of the face of each row (M,), and (M,) whether its crop shows anything."""
    boxes = adjust(square_around(faces.table.keypoints[rows]), _CONTEXT)
    shows = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0])
    bits = np.zeros((len(rows), _WAVES**2 - 1), bool)
    crop = np.empty((SIDE, SIDE), np.uint8)
    with progress("Comparing faces", len(rows)) as advance:
        for i in range(len(rows)):
            if shows[i]:
                photo = images.in_channels(faces.images[int(faces.table.images[rows[i]])], 1)
                warp(photo, crop_matrices(boxes[i], SIDE), crop)
                bits[i], shows[i] = face_hash(crop), crop.std() >= _FLAT
            advance()
    return bits, shows


def face_hash(crop: Image) -> Bits:
    """(143,) bits of a grey crop (32, 32): whether each of its 12 x 12 lowest frequencies is above their median.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", thesis, Hagenberg, 2010, section
    3.2.1, which takes 8 x 8 frequencies of a whole image; those of crops of faces are too much alike.
    """
    waves = cv2.dct(crop.astype(np.float32))[:_WAVES, :_WAVES].ravel()[1:]  # the first is the mean grey
    bits: Bits = waves > np.median(waves)
    return bits
