"""Faces found by YuNet, a small network in OpenCV."""

import os
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import cv2
import numpy as np

from fkd.detect.base import Candidates, Limit, Scores, best_first, beyond_edges
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter
from fkd.io.ranges import OWN_FILE, Share, Within
from fkd.io.regular import regular_file
from fkd.types import Image, Points

_SOURCE = (
    "get face_detection_yunet_2023mar.onnx from the OpenCV Zoo (github.com/opencv/opencv_zoo) and set"
    " detector=yunet detector.model=PATH"
)
_SIZE = 64  # pixels of the image that a file is tested on
_DOUBTFUL = 0.3  # least score of a possible face
_CANDIDATES = 5000  # boxes before overlapping ones are dropped (OpenCV's default)


@dataclass(frozen=True)
class YuNet:
    """`cv2.FaceDetectorYN`: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", MIR 20, 2023.

    The score is the network's own, 0 to 1.

    Attributes:
        model: path of the ONNX file, which the user gives.
        score: least score of a face.
        nms: IoU above which the box with the lower score is dropped.
        max_side: larger images are shrunk to this width or height in pixels, to save time.
        correction, jitter, limit: see `fkd.detect.Detector`.

    Raises:
        UserError: the file is missing or no YuNet.
    """

    model: Annotated[str | None, OWN_FILE]
    score: Share
    nms: Share
    max_side: Annotated[int, Within(1, 1e6)]
    correction: Correction
    jitter: Jitter
    limit: Limit

    def __post_init__(self) -> None:
        if self.model is None:
            raise UserError(f"detector.model=None: expected YuNet's ONNX file, found none; {_SOURCE}")
        regular_file(self.model, "YuNet's ONNX file", _SOURCE, f"detector.model={self.model}").close()
        try:
            self(np.zeros((_SIZE, _SIZE, 3), np.uint8))
        except (cv2.error, SystemError) as error:
            raise UserError(
                f"detector.model={self.model}: expected YuNet's ONNX file, found another kind of file; {_SOURCE}"
            ) from error

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`."""
        height, width = image.shape[:2]
        zoom = min(self.max_side / max(height, width), 1)
        size = (max(round(width * zoom), 1), max(round(height * zoom), 1))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        network = self._network()
        network.setInputSize(size)
        found: Any = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR if small.ndim == 3 else cv2.COLOR_GRAY2BGR))
        # Columns: left, top, width, height, five points, score.
        rows = np.zeros((0, 15), np.float32) if found[1] is None else found[1]
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        boxes = boxes * np.array([width / size[0], height / size[1]] * 2, np.float32) - np.float32(0.5)
        return best_first(self.correction(boxes), rows[:, 14])

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`."""
        squares, scores = beyond_edges(self._lenient, image)
        is_sure = scores >= self.score
        return Candidates(squares[is_sure], scores[is_sure], squares[~is_sure])

    @cached_property
    def _lenient(self) -> "YuNet":
        return replace(self, score=min(self.score, _DOUBTFUL))

    def _network(self) -> cv2.FaceDetectorYN:
        """One network for each thread, because it keeps state while it works."""
        loaded: dict[YuNet, cv2.FaceDetectorYN] = _networks.__dict__.setdefault("loaded", {})
        if self not in loaded:
            name = os.fsencode(str(self.model))  # OpenCV ends the process at a text that is no UTF-8
            settings = (_SIZE, _SIZE), self.score, self.nms, _CANDIDATES
            loaded[self] = cv2.FaceDetectorYN.create(name, "", *settings)  # type: ignore[call-overload]
        return loaded[self]


_networks = threading.local()
