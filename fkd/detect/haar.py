"""OpenCV's frontal face cascades: a quick look at the whole picture, and a closer one at what is not sure."""

import functools
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np

from fkd.detect.base import Correction, Finds, inside, ranked
from fkd.errors import UserError
from fkd.geometry import Jitter
from fkd.types import Image, Points

_FIRST = "haarcascade_frontalface_default"
_FIRST_SIZE = 24  # pixels of the faces it was trained on
_SECOND = {
    "haarcascade_frontalface_default": 52,
    "haarcascade_frontalface_alt2": 46,
    "haarcascade_frontalface_alt": 46,
}
"""The cascades of the second look, and how many pixels wide they are shown a candidate: about 2.2 times the size they
were trained on, so that windows lie close."""
_SECOND_FACTOR = 1.05  # ratio of neighbouring sizes
_SECOND_SIZES = 0.8, 1.25  # smallest and largest, in widths of the candidate
_MARGIN = 0.2  # widths of the candidate that are shown on each side of it
_DENSITY = 10  # windows of the second look that agree for one of the first: their medians on training faces
_SAME_FACE = 0.5  # of the smaller box lies in the other


class Haar:
    """Cascades of Viola and Jones ("Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001).

    The picture is made so small that the smallest face has the size that the cascade was trained on. The first look
    asks only the first stages of the cascade, with sizes far apart: that is fast and misses little, but takes a lot for
    a face. Where few of its windows agree, three whole cascades look again, at the candidate alone and closely. Lienhart
    and Maydt ("An Extended Set of Haar-like Features for Rapid Object Detection", ICIP 2002) count agreeing windows in
    the same way; they tell faces from the rest better than the sums that the last stages give.

    The score is the number of windows of the first look that agree, with a tenth of those of the second.

    Args:
        scale_factor: ratio of neighbouring sizes in the first look.
        stages: how many of the cascade's 25 stages the first look asks.
        sure: windows of the first look whose agreement makes a face.
        neighbours: windows of the second look that make a face of what is not sure.
        min_size: smallest box, as a share of the picture's short side.
        min_pixels: smallest box in pixels, where that is more.
        correction: from the cascade's boxes to the squares around the points.
        spread: what the correction leaves.
        limit: see `Detector`.

    Raises:
        UserError: a value that makes no sense, by its key.
    """

    def __init__(
        self,
        scale_factor: float,
        stages: int,
        sure: int,
        neighbours: int,
        min_size: float,
        min_pixels: int,
        correction: Correction,
        spread: Jitter,
        limit: float | None,
    ) -> None:
        for name, value, fits, expected in (
            ("scale_factor", scale_factor, scale_factor > 1, "a number above 1"),
            ("stages", stages, isinstance(stages, int) and 1 <= stages <= 25, "a whole number from 1 to 25"),
            ("min_size", min_size, 0 <= min_size <= 1, "a share of the picture's short side, 0 to 1"),
            ("min_pixels", min_pixels, min_pixels >= 1, "a number of pixels from 1 on"),
        ):
            if not fits:
                raise UserError(f"detector.{name}={value}: expected {expected}")
        self.scale_factor, self.stages, self.sure, self.neighbours = scale_factor, stages, sure, neighbours
        self.min_size, self.min_pixels = min_size, min_pixels
        self.correction, self.spread, self.limit = correction, spread, limit
        self._threads = threading.local()  # a cascade keeps the picture it looks at: one for each thread

    def __call__(self, picture: Image, path: str | None = None) -> Finds:
        """(H, W) grey or (H, W, 3) RGB -> (N, 4) squares in photo pixels and (N,) scores, best first."""
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        candidates, agreeing = self._first_look(grey)
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        for candidate, score in zip(candidates, agreeing, strict=True):
            box = candidate
            if inside(box, boxes).max(initial=0) > _SAME_FACE:
                continue
            if score < self.sure:
                hits = self._second_look(grey, candidate)
                count = sum(len(windows) for windows in hits)
                if count < self.neighbours:
                    continue
                score += count / _DENSITY
                box = hits[0].mean(axis=0) if len(hits[0]) else candidate
            boxes, scores = np.vstack([boxes, box]), np.append(scores, np.float32(score))
        boxes, scores = ranked(boxes - np.float32(0.5), scores)  # the edge of the first pixel is at -0.5
        return self.correction(boxes), scores

    def _first_look(self, grey: Image) -> tuple[Points, Points]:
        """(N, 4) squares that may be faces, in pixels from the picture's edges, and (N,) windows that agree on each,
        most first."""
        smallest = max(self.min_size * min(grey.shape), self.min_pixels)
        if smallest > min(grey.shape):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        cascade = self._cascade(_FIRST, self.stages)
        windows = _windows(cascade, grey, _FIRST_SIZE / smallest, self.scale_factor, 0, 0)
        corners = np.round(windows).astype(int)
        rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
        # Groups of one are left out by OpenCV, so each window is given twice.
        groups, counts = cv2.groupRectangles(rectangles * 2, 1, 0.2)
        left, top, width, height = np.asarray(groups, np.float32).reshape(-1, 4).T
        squares = np.stack([left, top, left + width, top + height], axis=1)
        return ranked(squares, np.ravel(counts).astype(np.float32) / 2)

    def _second_look(self, grey: Image, box: Points) -> list[Points]:
        """Squares (n, 4) that each cascade takes for the face in a box (4,)."""
        width = box[2] - box[0]
        left, top = np.maximum(box[:2] - _MARGIN * width, 0).astype(int)
        right, bottom = np.ceil(box[2:] + _MARGIN * width).astype(int)
        part, corner = grey[top:bottom, left:right], np.array([left, top, left, top], np.float32)
        found = []
        for name, size in _SECOND.items():
            smallest, largest = (round(share * size) for share in _SECOND_SIZES)
            cascade = self._cascade(name, None)
            found.append(_windows(cascade, part, size / width, _SECOND_FACTOR, smallest, largest) + corner)
        return found

    def _cascade(self, name: str, stages: int | None) -> cv2.CascadeClassifier:
        """This thread's own copy."""
        known = self._threads.__dict__
        if name not in known or stages is not None:
            key = name if stages is None else "first"
            if key not in known:
                known[key] = _load(name, stages)
            return known[key]
        return known[name]


def _windows(
    cascade: cv2.CascadeClassifier, grey: Image, shrink: float, factor: float, smallest: int, largest: int
) -> Points:
    """(N, 4) squares that a cascade takes for a face, in pixels from the picture's edges.

    Args:
        shrink: of the picture, before the cascade sees it.
        factor: ratio of neighbouring sizes.
        smallest, largest: width of a square on the small picture; 0: as the cascade and the picture allow.
    """
    height, width = grey.shape
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR)
    found = cascade.detectMultiScale(small, factor, 0, minSize=(smallest, smallest), maxSize=(largest, largest))
    left, top, wide, high = np.asarray(found, np.float32).reshape(-1, 4).T
    ratio = np.array([width / size[0], height / size[1]] * 2, np.float32)
    squares: Points = np.stack([left, top, left + wide, top + high], axis=1) * ratio
    return squares


def _load(name: str, stages: int | None) -> cv2.CascadeClassifier:
    """A cascade of OpenCV's; its first stages only, where their number is given."""
    path = Path(cv2.__file__).parent / "data" / f"{name}.xml"
    if stages is None:
        return cv2.CascadeClassifier(str(path))
    cascade = cv2.CascadeClassifier()
    storage = cv2.FileStorage(_shortened(path, stages), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    cascade.read(storage.getFirstTopLevelNode())
    return cascade


@functools.cache
def _shortened(path: Path, stages: int) -> str:
    """A cascade's file without its later stages."""
    root = ET.parse(path).getroot()
    cascade = root[0]
    for child in cascade:
        if child.tag == "stageNum":
            child.text = str(stages)
        if child.tag == "stages":
            del child[stages:]
    return '<?xml version="1.0"?>\n' + ET.tostring(root, "unicode")
