"""The net that comes with fkd, run with OpenCV's dnn module where ONNX Runtime is not installed."""

from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from fkd.inference.metadata import Metadata
from fkd.inference.onnx_net import OUTPUT, SPREAD
from fkd.io.onnx_file import metadata_of
from fkd.types import Image, PerPoint, Points


class OpenCVNet:
    """An exported net of a trusted source: a damaged file may crash OpenCV. Four times slower than ONNX Runtime.

    Args:
        path: a file that `fkd.inference.export.to_onnx` wrote.
    """

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        self.metadata = Metadata.from_json(metadata_of(content))
        self._net, self._lock = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8)), Lock()
        self.has_spread = SPREAD in self._net.getUnconnectedOutLayersNames()

    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels."""
        return self.with_spread(crops)[0]

    def with_spread(self, crops: Image) -> tuple[Points, PerPoint | None]:
        """The keypoints, and the spread of each, (B, K) float32 crop pixels, if the file `has_spread`."""
        keypoints = np.zeros((len(crops), len(self.metadata.schema), 2), np.float32)
        spread = np.zeros(keypoints.shape[:2], np.float32) if self.has_spread else None
        with self._lock:  # one call at a time, as the network keeps its input
            for i, crop in enumerate(crops):
                self._net.setInput(np.ascontiguousarray(crop[None]))
                if spread is None:
                    keypoints[i] = self._net.forward()[0]
                else:
                    (keypoints[i],), (spread[i],) = self._net.forward([OUTPUT, SPREAD])
        return keypoints, spread
