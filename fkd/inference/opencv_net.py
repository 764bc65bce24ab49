"""The net that comes with fkd, run with OpenCV's dnn module where ONNX Runtime is not installed."""

from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from fkd.inference.metadata import Metadata
from fkd.inference.onnx_net import KEY, OUTPUT, SPREAD
from fkd.types import Image, Points, Spread


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

    def with_spread(self, crops: Image) -> tuple[Points, Spread | None]:
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


def metadata_of(content: bytes) -> str:
    """The entry of fkd in the metadata of an ONNX file, which OpenCV does not read.

    An ONNX file is a protobuf message; field 14 of it holds pairs of a key (field 1) and a value (field 2).

    Raises:
        ValueError: there is no such entry.
    """
    for number, entry in _fields(content):
        if number == 14 and (pair := dict(_fields(entry))).get(1) == KEY.encode():
            return pair[2].decode()
    raise ValueError(f"expected {KEY!r} in the metadata, found none")


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Number and bytes of each field with a length; numbers are skipped."""
    found, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            found.append((tag >> 3, message[at : at + value]))
            at += value
        elif tag & 7 != 0:
            raise ValueError(f"expected a message of ONNX, found a field of type {tag & 7}")
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A whole number in base 128, the lowest digit first, and where it ends."""
    value = shift = 0
    while message[at] & 128:
        value, shift, at = value | (message[at] & 127) << shift, shift + 7, at + 1
    return value | message[at] << shift, at + 1
