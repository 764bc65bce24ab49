"""Faces found by a small net that comes with fkd."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fkd.detect.base import Candidates, Detections, Limit, Scores, beyond_edges, check_values, iou
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter, square
from fkd.io.onnx_runtime import image_net
from fkd.io.ranges import OWN_FILE, Share, Within
from fkd.types import Image, Points

INPUT, OUTPUT = "image", "maps"
"""Names in the graph: (1, 1, H, W) uint8, H and W multiples of 32 -> the maps of `fkd.face_detector.net`."""
STRIDE, MULTIPLE = 8, 32

_SMALLEST = 12.0  # pixels of the searched image: the narrowest square around a face's points that is found well
_LARGE, _COARSE = 640, 320  # a searched image that is longer than the first is searched at the second length, too
_MOST_PIXELS = 6_000_000  # of a searched image, about 100 bytes each
_DOUBTFUL = 0.15  # least score of a possible face
_FINER = 0.6  # smallest possible face, relative to that of a face


@dataclass(frozen=True)
class CenterNet:
    """A net that gives a map of face centres: Zhou et al., "Objects as Points", arXiv:1904.07850, 2019.

    It was trained on whole photos (`fkd train_detector`) and gives the square around the points of a face directly,
    turned with the face. The score is the net's own, 0 to 1.

    Attributes:
        model: path of an ONNX file of `fkd train_detector`; None: the one that comes with fkd.
        score: least score of a face.
        nms: IoU above which the box with the lower score is dropped.
        min_size: width in pixels of the smallest square around a face's points that is searched for. The image is
            shrunk as far as it allows, so that a larger one is faster.
        correction, jitter, limit: see `fkd.detect.Detector`.

    Raises:
        UserError: a value is out of range, or the file is missing, broken or another one; names its key.
    """

    model: Annotated[str | None, OWN_FILE]
    score: Share
    nms: Share
    min_size: Annotated[float, Within(2, 1e6)]
    correction: Correction
    jitter: Jitter
    limit: Limit

    def __post_init__(self) -> None:
        check_values(self)
        self._net  # noqa: B018 (a broken file is reported before any image is read)

    def __call__(self, image: Image, path: str | None = None) -> Detections:
        """As `fkd.detect.Detector`."""
        grey = image if image.ndim == 2 else None
        found = [self._search(image, grey, zoom) for zoom in self._zooms(image.shape[1], image.shape[0])]
        squares, scores, rolls = (np.concatenate(columns) for columns in zip(*found, strict=True))
        kept = _without_doubles(squares, scores, self.nms)
        return Detections(self.correction(squares[kept]), scores[kept], rolls[kept])
