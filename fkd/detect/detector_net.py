"""Runs the network of a face detector."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from threading import Lock

import cv2
import numpy as np
import numpy.typing as npt

from fkd.errors import UserError, short
from fkd.io.onnx_file import metadata_of
from fkd.io.onnx_runtime import session
from fkd.io.regular import regular_file
from fkd.types import Image
from fkd.weights import FACE_DETECTOR

DetectorNet = Callable[[Image], npt.NDArray[np.float32]]
"""(1, 1, H, W) uint8 grey, H and W multiples of 32 -> (1, 6, H/8, W/8). Several threads may call it at once."""
INPUT, OUTPUT, CHANNELS = "image", "maps", 6
"""Names in the graph; channels of its output. The file's metadata have an entry of fkd's, without a content."""

_MOST_BYTES = 2**27  # of a file
_TESTED = 64  # pixels of the image that a file is tested on


def detector_net(path: str | None, key: str) -> DetectorNet:
    """The network of an ONNX file.

    Args:
        path: the file; None: the one that comes with fkd, which runs with OpenCV where ONNX Runtime is not installed,
            several times slower.
        key: of the file in the config, for errors.

    Raises:
        UserError: the file is missing, broken or no face detector of fkd.
    """
    if path is None and find_spec("onnxruntime") is None:
        return _opencv(FACE_DETECTOR.read_bytes())
    name = f"{key}={path}" if path else str(FACE_DETECTOR)
    what, advice = "a face detector in ONNX, made by fkd train_detector", "leave it out for the one that comes with fkd"
    with regular_file(path or FACE_DETECTOR, what, advice, name) as file:
        data = file.read(_MOST_BYTES)
    try:
        metadata_of(data)
    except ValueError as error:
        raise UserError(f"{name}: expected {what}; {error}; {advice}") from error
    network = session(name, data)
    inputs = [(put.name, put.type) for put in network.get_inputs()]
    outputs = [put.name for put in network.get_outputs()]
    if inputs != [(INPUT, "tensor(uint8)")] or outputs != [OUTPUT]:
        raise UserError(f"{name}: expected {what}, found one with {short(inputs)} and {short(outputs)}; {advice}")

    def run(images: Image) -> npt.NDArray[np.float32]:
        maps: npt.NDArray[np.float32] = network.run(None, {INPUT: images})[0]
        return maps

    try:
        shape = run(np.zeros((1, 1, _TESTED, 2 * _TESTED), np.uint8)).shape
    except Exception as error:  # of the file's content; ONNX Runtime's have no common class
        raise UserError(f"{name}: expected {what}, found one that fails ({short(error)}); {advice}") from error
    if shape != (1, CHANNELS, _TESTED // 8, _TESTED // 4):
        raise UserError(f"{name}: expected {what}, found one whose maps are {shape}; {advice}")
    return run


def _opencv(data: bytes) -> DetectorNet:
    network, lock = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8)), Lock()
    network.enableFusion(False)  # biases of fused layers grow with each change of size (OpenCV 4.14)

    def run(images: Image) -> npt.NDArray[np.float32]:
        with lock:  # the network keeps its input
            network.setInput(images.astype(np.float32))
            return np.array(network.forward())

    return run
