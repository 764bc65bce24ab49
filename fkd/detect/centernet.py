"""Faces found by a small net that comes with fkd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fkd.detect.base import Candidates, Detections, Limit, Scores, check_values, without_overlap
from fkd.detect.detector_net import DetectorNet, detector_net
from fkd.geometry import Correction, Jitter, adjust, crop_matrices, invert, square, transform, warp
from fkd.io.ranges import OWN_FILE, Share, Within
from fkd.types import Image, Points

STRIDE, MULTIPLE = 8, 32
"""Pixels for each cell of a map; the width and height of a searched image are multiples of the second."""

_SMALLEST = 16.0  # pixels of the searched image: the narrowest square around a face's points that is found well
_LARGE, _COARSE = 384, 192  # a searched image that is longer than the first is searched at the second length, too
_MOST_PIXELS = 6_000_000  # of a searched image, about 40 bytes each
_LEAST_SIZE = 4.0
_POSSIBLE = 0.25  # peaks from this score on are looked at again, and lower ones if a lower score is asked for
_LOOK, _LOOKED_AT = 128, 80.0  # pixels of the window of a second look, and of the square around the points in it
_APART = 0.3  # distance of a face from the middle of this window, in widths of the square, at most
_MOST_LOOKS = 500  # at the best; the others keep the score of the first look
_FARTHEST = 1e4  # cells from a peak to the centre of its face
_SMALLER = 0.7  # widths are measured with an error: from this share of the smallest width on faces are kept
_FINER = 0.6  # smallest possible face, relative to that of a face


@dataclass(frozen=True)
class CenterNet:
    """A net that gives a map of face centres: Zhou et al., "Objects as Points", arXiv:1904.07850, 2019.

    It was trained on whole photos (`fkd train_detector`) and gives the square around the points of a face directly,
    turned with the face. Each possible face is cut out upright and looked at again, larger: the score, 0 to 1, is the
    mean of both looks (of their log-odds); the square and the roll are those of the second.

    Attributes:
        model: path of an ONNX file of `fkd train_detector`; None: the one that comes with fkd.
        score: least score of a face.
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
        """As `fkd.detect.Detector`; smaller faces are looked for, too; doubtful: those with a lower score."""
        squares, scores, rolls = self._find(image, min(self.score, self.doubtful), _FINER * self.min_size)
        is_sure = scores >= self.score
        return Candidates(squares[is_sure], scores[is_sure], squares[~is_sure], rolls[is_sure])

    @cached_property
    def _net(self) -> DetectorNet:
        return detector_net(self.model, "detector.model")

    def _find(self, image: Image, score: float, min_size: float) -> tuple[Points, Scores, Scores]:
        """Corrected squares (N, 4), scores (N,) from `score` on and rolls (N,), best first."""
        image = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        height, width = image.shape
        finest = _SMALLEST / min_size
        while (pixels := math.prod(_padded(height, width, finest))) > _MOST_PIXELS:
            finest *= min(math.sqrt(_MOST_PIXELS / pixels), 0.9)
        longest = finest * max(height, width)
        zooms = [finest, finest * _COARSE / longest] if longest > _LARGE else [finest]
        found = _joined([self._search(image, zoom, min(score, _POSSIBLE)) for zoom in zooms])
        found = self._seen_again(image, found)
        found = self._distinct(found.where((found.scores >= score) & (found.sides >= _SMALLER * min_size)))
        squares = square(found.centres, found.sides)
        return self.correction(squares, found.rolls), found.scores, found.rolls

    def _distinct(self, found: Peaks) -> Peaks:
        """The faces, best first, that overlap no better one."""
        return found.where(without_overlap(square(found.centres, found.sides), found.scores, self.nms))

    def _seen_again(self, image: Image, found: Peaks) -> Peaks:
        """The distinct faces of a grey image, each after a second look."""
        found = self._distinct(found)
        found, others = found.where(slice(_MOST_LOOKS)), found.where(slice(_MOST_LOOKS, None))
        matrices = crop_matrices(adjust(square(found.centres, found.sides), _LOOK / _LOOKED_AT), _LOOK, found.rolls)
        again = _joined([self._look(image, matrix) for matrix in matrices])
        odds = (_log_odds(found.scores) + _log_odds(again.scores)) / 2
        seen = Peaks(
            centres=transform(again.centres[:, None], invert(matrices))[:, 0],
            sides=again.sides * found.sides / _LOOKED_AT,
            rolls=(found.rolls + again.rolls + 180) % 360 - 180,
            scores=np.asarray(1 / (1 + np.exp(-odds)), np.float32),
        )
        return _joined([seen, others])

    def _look(self, image: Image, matrix: npt.NDArray[np.float32]) -> Peaks:
        """The face in the middle of a window, in pixels of the window; one with a score of 0 if there is none."""
        window = warp(image, matrix, np.empty((_LOOK, _LOOK), np.uint8))
        found = decode(np.asarray(self._net(window[None, None])[0]), 0)
        middle = (_LOOK - 1) / 2
        found = found.where(np.abs(found.centres - middle).max(axis=1) <= _APART * _LOOKED_AT)
        none = Peaks(*(np.array([value], np.float32) for value in ([middle, middle], _LOOKED_AT, 0, 0)))
        return found.where([found.scores.argmax()]) if len(found.scores) else none

    def _search(self, image: Image, zoom: float, score: float) -> Peaks:
        """The faces, in pixels of a grey image, that are seen at one scale."""
        height, width = image.shape
        size = max(round(zoom * width), 1), max(round(zoom * height), 1)
        # bilinear sampling is several times faster, and skips no pixels down to half size
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 0.5 else cv2.INTER_LINEAR)
        padded = np.zeros(_padded(height, width, zoom), np.uint8)
        padded[: size[1], : size[0]] = small
        found = decode(np.asarray(self._net(padded[None, None])[0]), score)
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        centres = (found.centres + np.float32(0.5)) * ratio - np.float32(0.5)
        return found._replace(centres=centres, sides=found.sides * np.float32(math.sqrt(ratio.prod())))


def _padded(height: int, width: int, zoom: float) -> list[int]:
    """Height and width of a searched image, which is black where the photo ends."""
    return [max(-(-max(round(zoom * side), 1) // MULTIPLE), 2) * MULTIPLE for side in (height, width)]


class Peaks(NamedTuple):
    """N possible faces, in pixels of the image, of the searched image or of the window."""

    centres: Points  # (N, 2) pixels
    sides: npt.NDArray[np.float32]  # (N,) pixels
    rolls: Scores  # (N,) degrees, clockwise
    scores: Scores  # (N,)

    def where(self, chosen: Any) -> Peaks:
        """Some of the faces: their numbers, a mask or a slice."""
        return Peaks(*(column[chosen] for column in self))


def _joined(parts: Sequence[Peaks]) -> Peaks:
    """All faces of the parts."""
    none = Peaks(np.zeros((0, 2), np.float32), *np.zeros((3, 0), np.float32))
    return Peaks(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))


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


def _log_odds(scores: Scores) -> Scores:
    scores = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(scores / (1 - scores)), np.float32)
