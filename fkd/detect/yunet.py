"""YuNet, a small face detection network that OpenCV runs."""

import threading
from pathlib import Path

import cv2
import numpy as np

from fkd.detect.base import Correction, Finds, ranked, squared
from fkd.errors import UserError
from fkd.geometry import Jitter
from fkd.types import Image

_GET = (
    "download face_detection_yunet_2023mar.onnx from OpenCV Zoo (https://github.com/opencv/opencv_zoo,"
    " models/face_detection_yunet) and set detector.model=PATH"
)


class YuNet:
    """`cv2.FaceDetectorYN` (Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", MIR 2023).

    The score is the network's own, 0 to 1.

    Args:
        model: path of the ONNX file.
        score: least score of a face, 0 to 1.
        nms: of two boxes that overlap more than this (IoU), the better one stays.
        max_side: larger pictures are made this wide (or high) for the network, so that a photo does not take seconds.
        correction: from the squares about its boxes, as wide as their longest side, to the squares around the points.
        spread: what the correction leaves.
        limit: see `Detector`.

    Raises:
        UserError: no file is given, it is missing, or it holds no YuNet.
    """

    def __init__(
        self,
        model: str | None,
        score: float,
        nms: float,
        max_side: int,
        correction: Correction,
        spread: Jitter,
        limit: float | None,
    ) -> None:
        if model is None:
            raise UserError(f"detector.model: expected YuNet's ONNX file, found none given; {_GET}")
        if not Path(str(model)).is_file():
            raise UserError(f"detector.model={model}: expected YuNet's ONNX file, found no such file; {_GET}")
        self.model, self.score, self.nms, self.max_side = str(model), score, nms, max_side
        self.correction, self.spread, self.limit = correction, spread, limit
        self._threads = threading.local()  # a network keeps what it works on: one for each thread
        try:
            self(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise UserError(
                f"detector.model={model}: expected YuNet's ONNX file, found another that OpenCV cannot use so; {_GET}"
            ) from error

    def __call__(self, picture: Image, path: str | None = None) -> Finds:
        """(H, W) grey or (H, W, 3) RGB -> (N, 4) squares in photo pixels and (N,) scores, best first."""
        height, width = picture.shape[:2]
        shrink = min(self.max_side / max(height, width), 1)
        size = max(round(width * shrink), 1), max(round(height * shrink), 1)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if shrink < 1 else picture
        network = self._network()
        network.setInputSize(size)
        _, found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR if small.ndim == 3 else cv2.COLOR_GRAY2BGR))
        found = np.zeros((0, 15), np.float32) if found is None else found  # box, five points, score
        left, top, wide, high = found[:, :4].T
        edges = np.stack([left, top, left + wide, top + high], axis=1)
        boxes = edges * np.array([width / size[0], height / size[1]] * 2, np.float32) - np.float32(0.5)
        boxes, scores = ranked(boxes, found[:, 14])
        return self.correction(squared(boxes)), scores

    def _network(self) -> cv2.FaceDetectorYN:
        """This thread's own copy."""
        if not hasattr(self._threads, "network"):
            self._threads.network = cv2.FaceDetectorYN.create(self.model, "", (64, 64), self.score, self.nms, 5000)
        network: cv2.FaceDetectorYN = self._threads.network
        return network
