"""Faces found by the cascades that come with OpenCV."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import cv2
import numpy as np

from fkd.detect.base import PADDING, WIDEST, Candidates, Limit, Scores, best_first, beyond_edges, check_values, coverage
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter
from fkd.io.ranges import Within
from fkd.types import Image, Points

_FACE = 24  # pixels: width of the faces that the default cascade was trained on
_STAGES = 25  # of the default cascade
_GROUPING = 0.2  # of their size: windows that differ less are one candidate (OpenCV's default)
_SECOND = {"frontalface_default": 52, "frontalface_alt2": 46, "frontalface_alt": 46}
"""Cascades of the second look -> width in pixels to which a candidate is scaled: more than twice the width that they
were trained on, so that their windows are dense."""
_SECOND_STEP = 1.05  # ratio of neighbouring sizes in the second look
_SECOND_RANGE = 0.8, 1.25  # smallest and largest size there, in widths of the candidate
_MARGIN = 0.2  # around a candidate in the second look, in its widths
_DENSITY = 10.0  # hits of the second look for each hit of the first, on training faces
_SAME_FACE = 0.5  # coverage above which the box with the lower score belongs to the same face
_DOUBTFUL = (("frontalface_default", 24, 1.0), ("profileface", 20, 4 / 3))
"""For hiding: cascade, width in pixels that it was trained on, and its smallest box relative to the first cascade's.
The profile cascade finds faces that look to one side, so that the mirrored image is searched, too."""
_DOUBTFUL_STEP = 1.1  # ratio of neighbouring sizes of possible faces
_MOST_PIXELS = 2**28  # of one image in all sizes that a cascade searches, about 12 bytes each
_SMALLER = 0.5  # smallest box of a possible face, relative to that of a face
_TILTS = -30, 30  # degrees by which the image is rotated for possible faces


@dataclass(frozen=True)
class Haar:
    """OpenCV's frontal cascades, in two looks.

    Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001. The first look
    searches the image, shrunk so that the smallest face has the cascade's own size, in coarse steps and with only the
    first stages: it is fast and misses few faces, but has many false positives. A candidate with few hits gets a second
    look in fine steps by three whole cascades, and is a face if they have enough hits together. Few images need many
    second looks, and false positives rarely pass cascades that were trained separately. The number of hits separates
    faces from false positives better than the sums of a cascade's last stage.

    The score is the number of hits of the first look, plus a tenth of those of the second.

    Attributes:
        scale_factor: ratio of neighbouring sizes in the first look.
        stages: number of stages in the first look, of the default cascade's 25.
        min_share: smallest box, as a share of the image's short side.
        min_size: the same in pixels; the larger of the two counts.
        sure: hits of the first look that make a candidate a face without a second look.
        votes: hits of the second look that make it a face.
        correction, jitter, limit: see `fkd.detect.Detector`.

    Raises:
        UserError: a value is out of range, named by its key; OpenCV is of version 5, which has no cascades.
    """

    scale_factor: Annotated[float, Within(1.01, 10)]
    stages: Annotated[int, Within(1, _STAGES)]
    min_share: Annotated[float, Within(0, 1)]
    min_size: Annotated[int, Within(1, 1e6)]
    sure: Annotated[int, Within(0, 1e6)]
    votes: Annotated[int, Within(0, 1e6)]
    correction: Correction
    jitter: Jitter
    limit: Limit

    def __post_init__(self) -> None:
        check_values(self)
        if not hasattr(cv2, "CascadeClassifier"):
            raise UserError(
                f"detector=haar: expected OpenCV 4, which has cascades, found OpenCV {cv2.__version__}; choose "
                'detector=fkd, or pip install "opencv-python-headless<5"'
            )

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`."""
        grey: Any = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        for candidate, hits in zip(*self._first_look(grey), strict=True):
            if coverage(candidate, boxes).max(initial=0) > _SAME_FACE:
                continue
            box, score = candidate, float(hits)
            if hits < self.sure:
                seen = _second_look(grey, candidate)
                if (votes := sum(map(len, seen))) < self.votes:
                    continue
                box = seen[0].mean(axis=0) if len(seen[0]) else candidate
                score += votes / _DENSITY
            boxes, scores = np.vstack([boxes, box]), np.append(scores, np.float32(score))
        # OpenCV's rectangles count whole pixels; the edge of the first pixel is at -0.5.
        return best_first(self.correction(boxes - np.float32(0.5)), scores)

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`; doubtful: each hit of a frontal or profile cascade, and faces of rotated images."""
        grey: Any = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        smallest = _SMALLER * max(self.min_share * min(grey.shape), self.min_size)
        hits = np.concatenate([_all_hits(grey, *cascade, smallest) for cascade in _DOUBTFUL])
        padded = replace(self, min_share=self.min_share / (1 + 2 * PADDING))  # as a share of the padded image
        zoom = min(WIDEST / max(grey.shape), 1)
        size = [max(round(side * zoom), 1) for side in grey.shape[::-1]]
        small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if zoom < 1 else grey
        finer = replace(padded, min_share=_SMALLER * padded.min_share, min_size=max(round(_SMALLER * self.min_size), 1))
        tilted = [beyond_edges(finer, small, tilt)[0] / np.float32(zoom) for tilt in _TILTS]
        doubtful = np.concatenate([self.correction(hits - np.float32(0.5)), *tilted])
        squares, scores = beyond_edges(padded, grey)
        return Candidates(squares, scores, doubtful)

    def _first_look(self, grey: Image) -> tuple[Points, Scores]:
        """(N, 4) candidates, most hits first, and (N,) their hits."""
        smallest = max(self.min_share * min(grey.shape), self.min_size)
        if smallest > min(grey.shape):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        first_stages = _cascade("frontalface_default", self.stages)
        return best_first(*_grouped(_hits(first_stages, grey, _FACE / smallest, self.scale_factor, (0, 0))))


def _second_look(grey: Image, box: Points) -> list[Points]:
    """Windows (N, 4) around a box that pass, for each of the cascades."""
    width = float(box[2] - box[0])
    left, top = np.maximum(box[:2] - _MARGIN * width, 0).astype(int)
    right, bottom = np.ceil(box[2:] + _MARGIN * width).astype(int)
    part, corner = grey[top:bottom, left:right], np.array([left, top, left, top], np.float32)
    found = []
    for name, side in _SECOND.items():
        low, high = (round(share * side) for share in _SECOND_RANGE)
        found.append(_hits(_cascade(name), part, side / width, _SECOND_STEP, (low, high)) + corner)
    return found


def _all_hits(grey: Image, name: str, trained_on: int, ratio: float, smallest: float) -> Points:
    """Boxes (N, 4) that pass a cascade of `_DOUBTFUL`; `smallest` is a width in pixels."""
    zoom = trained_on / (ratio * smallest)
    hits = _hits(_cascade(name), grey, zoom, _DOUBTFUL_STEP, (0, 0))
    if name == "profileface":
        mirrored = _hits(_cascade(name), np.ascontiguousarray(grey[:, ::-1]), zoom, _DOUBTFUL_STEP, (0, 0))
        mirrored[:, [2, 0]] = grey.shape[1] - mirrored[:, [0, 2]]
        hits = np.concatenate([hits, mirrored])
    return _grouped(hits)[0]


def _grouped(hits: Points) -> tuple[Points, Scores]:
    """Windows (M, 4) -> means (N, 4) of groups that differ little, and sizes (N,) of the groups."""
    sizes = np.concatenate([hits[:, :2], hits[:, 2:] - hits[:, :2]], axis=1).round().astype(int).tolist()
    grouped, twice = cv2.groupRectangles(sizes * 2, 1, _GROUPING)  # a single window is only kept if it is there twice
    boxes = np.array(grouped, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, np.ravel(twice).astype(np.float32) / np.float32(2)


def _hits(cascade: cv2.CascadeClassifier, grey: Image, zoom: float, step: float, sizes: tuple[int, int]) -> Points:
    """All windows (N, 4) that pass, in pixels from the image's left and top edge.

    Args:
        zoom: scale of the image before; the cascade itself would shrink without averaging.
        step: ratio of neighbouring sizes.
        sizes: smallest and largest in pixels of the scaled image, 0 for no limit.
    """
    height, width = grey.shape
    size = (max(round(width * zoom), 1), max(round(height * zoom), 1))
    if size[0] * size[1] / (1 - step**-2) > _MOST_PIXELS:  # before OpenCV takes memory for them
        raise UserError(
            f"detector: expected at most {_MOST_PIXELS:,} pixels in all sizes of an image, found {width} x {height} "
            f"pixels at {zoom:.3g} times their size, in steps of {step}; raise detector.min_size or detector.min_share"
        )
    scaled = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    low, high = sizes
    found = cascade.detectMultiScale(scaled, step, 0, minSize=(low, low), maxSize=(high, high))
    boxes = np.array(found, np.float32).reshape(-1, 4)
    boxes = boxes[np.lexsort(boxes.T)]  # OpenCV's threads give any order, and grouping depends on it
    boxes[:, 2:] += boxes[:, :2]
    return boxes * np.array([width / size[0], height / size[1]] * 2, np.float32)


_cascades = threading.local()
"""Each thread has its own, because a cascade keeps state while it works."""


def _cascade(name: str, stages: int | None = None) -> cv2.CascadeClassifier:
    """A cascade of OpenCV, or only its first stages."""
    loaded: dict[tuple[str, int | None], cv2.CascadeClassifier] = _cascades.__dict__.setdefault("loaded", {})
    if (name, stages) not in loaded:
        file = Path(cv2.__file__).parent / f"data/haarcascade_{name}.xml"
        loaded[name, stages] = cv2.CascadeClassifier(str(file)) if stages is None else _first_stages(file, stages)
    return loaded[name, stages]


def _first_stages(file: Path, stages: int) -> cv2.CascadeClassifier:
    root = ElementTree.parse(file).getroot()
    every, number = root.find("cascade/stages"), root.find("cascade/stageNum")
    assert every is not None
    assert number is not None
    number.text = str(stages)
    del every[stages:]
    text = '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode")
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    cascade = cv2.CascadeClassifier()
    cascade.read(storage.getFirstTopLevelNode())
    return cascade
