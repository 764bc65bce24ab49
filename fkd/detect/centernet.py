"""Faces found by a small net that comes with fkd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fkd.detect.base import Candidates, Detections, Limit, Scores, check_values, without_overlap
from fkd.detect.detector_net import DetectorNet, detector_net
from fkd.geometry import Correction, Jitter, square
from fkd.io.ranges import OWN_FILE, Share, Within
from fkd.types import Image, Points

STRIDE, MULTIPLE = 8, 32
"""Pixels for each cell of a map; the width and height of a searched image are multiples of the second."""

_SMALLEST = 16.0  # pixels of the searched image: the narrowest square around a face's points that is found well
_LARGE, _COARSE = 384, 192  # a searched image that is longer than the first is searched at the second length, too
_MOST_PIXELS = 6_000_000  # of a searched image, about 40 bytes each
_LEAST_SIZE = 4.0
_FARTHEST = 1e4  # cells from a peak to the centre of its face
_FINER = 0.6  # smallest possible face, relative to that of a face


@dataclass(frozen=True)
class CenterNet:
    """A net that gives a map of face centres: Zhou et al., "Objects as Points", arXiv:1904.07850, 2019.

    It was trained on whole photos (`fkd train_detector`) and gives the square around the points of a face directly,
    turned with the face. The score is the net's own, 0 to 1.

    Attributes:
        model: path of an ONNX file of `fkd train_detector`; None: the one that comes with fkd.
        score: least score of a face.
        flip: average the maps of the image and of its mirror image: half as many false faces, twice the time.
        nms: IoU above which the box with the lower score is dropped.
        min_size: width in pixels of the smallest square around a face's points that is searched for. The image is
            shrunk as far as it allows, so that a larger one is faster.
        doubtful: least score of a possible face, which is only hidden.
        correction, jitter, limit: see `fkd.detect.Detector`.

    Raises:
        UserError: a value is out of range, or the file is missing, broken or another one; names its key.
    """

    model: Annotated[str | None, OWN_FILE]
    score: Share
    doubtful: Share
    flip: bool
    nms: Share
    min_size: Annotated[float, Within(_LEAST_SIZE, 1e6)]
    correction: Correction
    jitter: Jitter
    limit: Limit

    def __post_init__(self) -> None:
        check_values(self)
        if self.model is not None:
            self._net  # noqa: B018 (a broken file is reported before any image is read)

    def __call__(self, image: Image, path: str | None = None) -> Detections:
        """As `fkd.detect.Detector`."""
        return Detections(*self._find(image, self.score, self.min_size))

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`; doubtful: smaller faces and those with a lower score."""
        squares, scores, rolls = self._find(image, min(self.score, self.doubtful), _FINER * self.min_size)
        is_sure = scores >= self.score
        return Candidates(squares[is_sure], scores[is_sure], squares[~is_sure], rolls[is_sure])

    @cached_property
    def _net(self) -> DetectorNet:
        return detector_net(self.model, "detector.model")

    def _find(self, image: Image, score: float, min_size: float) -> tuple[Points, Scores, Scores]:
        """Corrected squares (N, 4), scores (N,) from `score` on and rolls (N,), best first."""
        height, width = image.shape[:2]
        finest = _SMALLEST / min_size
        while (pixels := math.prod(_padded(height, width, finest))) > _MOST_PIXELS:
            finest *= min(math.sqrt(_MOST_PIXELS / pixels), 0.9)
        longest = finest * max(height, width)
        zooms = [finest, finest * _COARSE / longest] if longest > _LARGE else [finest]
        found = [self._search(image, zoom, score) for zoom in zooms]
        squares, scores, rolls = (np.concatenate(columns) for columns in zip(*found, strict=True))
        kept = without_overlap(squares, scores, self.nms)
        return self.correction(squares[kept], rolls[kept]), scores[kept], rolls[kept]

    def _maps(self, image: Image) -> npt.NDArray[np.float32]:
        """(6, H/8, W/8) of an image (H, W)."""
        maps = np.asarray(self._net(image[None, None])[0])
        if not self.flip:
            return maps
        (mirrored,) = self._net(np.ascontiguousarray(image[None, None, :, ::-1]))
        signs = np.array([1, -1, 1, 1, 1, -1], np.float32)  # to the right becomes to the left, clockwise the other way
        return np.asarray((maps + signs[:, None, None] * mirrored[:, :, ::-1]) / 2, np.float32)

    def _search(self, image: Image, zoom: float, score: float) -> tuple[Points, Scores, Scores]:
        """Squares (N, 4) in pixels of the image, scores (N,) and rolls (N,) in degrees, of one scale."""
        height, width = image.shape[:2]
        size = max(round(zoom * width), 1), max(round(zoom * height), 1)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
        grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        padded = np.zeros(_padded(height, width, zoom), np.uint8)
        padded[: size[1], : size[0]] = grey
        found = decode(self._maps(padded), score)
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        centres = (found.centres + np.float32(0.5)) * ratio - np.float32(0.5)
        return square(centres, found.sides * math.sqrt(ratio.prod())), found.scores, found.rolls


def _padded(height: int, width: int, zoom: float) -> list[int]:
    """Height and width of a searched image, which is black where the photo ends."""
    return [max(-(-max(round(zoom * side), 1) // MULTIPLE), 2) * MULTIPLE for side in (height, width)]


class Peaks(NamedTuple):
    """The faces of a map, N."""

    centres: Points  # (N, 2) pixels of the searched image
    sides: npt.NDArray[np.float32]  # (N,) pixels
    rolls: Scores  # (N,) degrees, clockwise
    scores: Scores  # (N,)


def decode(maps: npt.NDArray[np.float32], least: float) -> Peaks:
    """The peaks of a net's maps with a score from `least` on.

    Args:
        maps: (6, H, W) of `fkd.detector_training.net.MapNet`.
        least: smallest score.
    """
    logits = maps[0]
    is_peak = (logits == cv2.dilate(logits, np.ones((3, 3)))) & (logits >= _logit(least))
    is_peak &= np.isfinite(maps).all(axis=0)  # a foreign file may give any numbers
    rows, columns = np.nonzero(is_peak)
    logit, right, down, width, cos, sin = maps[:, rows, columns]
    offsets = np.clip([right, down], -_FARTHEST, _FARTHEST)
    middles = (np.stack([columns, rows]) + offsets).T * STRIDE + (STRIDE - 1) / 2
    sides = np.exp(np.clip(width, -3, 8)) * STRIDE
    scores = 1 / (1 + np.exp(-logit))
    rolls = np.degrees(np.arctan2(sin, cos))
    return Peaks(*(values.astype(np.float32) for values in (middles, sides, rolls, scores)))


def _logit(share: float) -> float:
    return math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)
