"""The speed of prediction, part by part; both sides of every ratio are measured in one run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from benchmarks.figures import Row, in_turn, one_thread
from fkd.config import checks
from fkd.config.build_parts import build_detector
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.detect import Candidates, Detector
from fkd.geometry import crop_matrices, square_around
from fkd.inference import labelled_faces
from fkd.inference.export import to_int8, to_onnx
from fkd.inference.onnx_net import OnnxNet
from fkd.inference.predictor import Net, Predictor
from fkd.inference.torch_net import TorchNet, load_net
from fkd.io import images
from fkd.types import Image, Points

_BLOCK = 20
_CALIBRATION = 200  # crops


def measure(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """Nets, detectors and both together on one thread; then a folder of photos on all threads."""
    cfg.channels = 3  # photos are in colour
    ckpt = checks.net(cfg, "ckpt")
    repeats, passes = (checks.whole(cfg, key, least=2) for key in ("repeats", "passes"))
    detector, faces = build_detector(cfg), build_faces(cfg)
    table = faces.subset("test")
    table = table.take(np.random.default_rng(0).permutation(len(table))[: checks.whole(cfg, "images", least=1)])
    frames = [faces.images[int(row)] for row in table.images]
    small: list[Any] = [cv2.resize(frame, (200, 200), interpolation=cv2.INTER_AREA) for frame in frames]
    scales = np.array([200 / np.array(frame.shape[1::-1]) for frame in frames], np.float32)
    squares = square_around((table.keypoints + np.float32(0.5)) * scales[:, None] - np.float32(0.5))
    wide = [on_a_wide_photo(frame) for frame in frames]

    torch_net = load_net(ckpt, "cpu")
    to_onnx(torch_net.model, torch_net.metadata, scratch / "net.onnx")
    to_int8(scratch / "net.onnx", scratch / "int8.onnx", crops_of(faces, torch_net, detector))
    net, int8 = OnnxNet(scratch / "net.onnx"), OnnxNet(scratch / "int8.onnx")
    finds, knows = (
        Predictor(net, d, flip=False, max_pixels=images.MAX_PIXELS) for d in (detector, Given(detector, small, squares))
    )
    photos = write_photos(frames, checks.whole(cfg, "photos", least=1), scratch)

    threaded = [*folder(finds, photos, passes)]
    one_thread()
    return {
        "one face, one thread": [*nets({"torch": torch_net, "ONNX": net, "ONNX int8": int8}, repeats)],
        "detectors, 200 x 200, one thread": [*detectors(small, detector, repeats)],
        "200 x 200, one thread": [
            *images_to_faces({"detector and ONNX": finds, "boxes given and ONNX": knows}, small, repeats)
        ],
        "1280 x 720, one thread": [*images_to_faces({"detector and ONNX": finds}, wide, repeats)],
        f"{len(photos):,} photos in a folder, ONNX, all threads": threaded,
    }


def nets(named: Mapping[str, Net], repeats: int) -> Iterator[Row]:
    """Milliseconds per face of nets, one crop per call; nets alternate, so that conditions are equal."""
    rng = np.random.default_rng(0)
    calls = {}
    for name, net in named.items():
        shape = (1, net.metadata.channels, net.metadata.size, net.metadata.size)
        calls[name] = partial(net, rng.integers(0, 256, shape, np.uint8))
    for name, values in in_turn(calls, repeats, block=_BLOCK).items():
        yield Row.of(name, values, "ms a face")


def detectors(photos: Sequence[Image], detector: Detector, repeats: int) -> Iterator[Row]:
    """Milliseconds per image of the detector, and of OpenCV's cascade with common settings."""
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data/haarcascade_frontalface_default.xml"))
    greys = [images.in_channels(photo, 1) for photo in photos]
    found: dict[str, Callable[[Image], int]] = {
        "OpenCV's cascade, 1.1 and 5": lambda grey: len(cascade.detectMultiScale(grey, 1.1, 5)),
        "OpenCV's cascade, 1.2 and 2": lambda grey: len(cascade.detectMultiScale(grey, 1.2, 2)),
        "detector": lambda grey: len(detector(grey)[0]),
    }
    calls = {name: _each(function, greys) for name, function in found.items()}
    values = in_turn(calls, repeats, block=_BLOCK)
    for name, function in found.items():
        yield Row.of(name, values[name], "ms an image", sum(function(grey) for grey in greys))


def images_to_faces(named: Mapping[str, Predictor], photos: Sequence[Image], repeats: int) -> Iterator[Row]:
    """Milliseconds per image from pixels to keypoints."""
    calls = {name: _each(predictor, photos) for name, predictor in named.items()}
    values = in_turn(calls, repeats, block=_BLOCK)
    for name, predictor in named.items():
        yield Row.of(name, values[name], "ms an image", sum(len(predictor(photo)) for photo in photos))


def folder(predictor: Predictor, paths: Sequence[Path], repeats: int) -> Iterator[Row]:
    """Images per second from files, one by one and as a stream."""

    def one_by_one() -> int:
        return sum(len(predictor(path)) for path in paths)

    def stream() -> int:
        return sum(len(found.faces) for found in predictor.stream(paths))

    faces: dict[str, int] = {}
    calls = {"one by one": lambda: faces.update(one=one_by_one()), "as a stream": lambda: faces.update(stream=stream())}
    values = in_turn(calls, repeats, warm_up=0)
    for name, found in zip(calls, ("one", "stream"), strict=True):
        yield Row.of(name, [1000 * len(paths) / v for v in values[name]], "images a second", faces[found])


def on_a_wide_photo(image: Image, height: int = 720, width: int = 1280) -> Image:
    """A wide photo with the image of one face, small, in the middle of a background without faces."""
    background = cv2.resize(cv2.GaussianBlur(image, (0, 0), image.shape[1] / 12), (width, height))
    half = cv2.resize(image, (height // 2, height // 2))
    top, left = height // 4, (width - height // 2) // 2
    background[top : top + height // 2, left : left + height // 2] = half
    return background  # type: ignore[return-value]


class Given:
    """A detector that is given the square of the one face of each image, to time the other steps."""

    limit = None

    def __init__(self, detector: Detector, photos: Sequence[Image], squares: Points) -> None:
        self.jitter, self._squares = detector.jitter, {id(p): s[None] for p, s in zip(photos, squares, strict=True)}

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, npt.NDArray[np.float32]]:
        return self._squares[id(image)], np.ones(1, np.float32)

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        return Candidates(*self(image, path))


def write_photos(photos: Sequence[Image], count: int, root: Path) -> list[Path]:
    """Write `count` files of these images."""
    paths = [root / f"{i:05}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        images.write(path, photos[i % len(photos)])
    return paths


def _each(function: Callable[[Any], Any], arguments: Sequence[Any]) -> Callable[[], Any]:
    """A call of the function with the next argument each time."""
    turns = cycle(arguments)
    return lambda: function(next(turns))


def crops_of(faces: Faces, net: TorchNet, detector: Detector) -> Image:
    """Training crops (N, C, S, S) with a detector's jitter, for the ranges of 8-bit features."""
    table = faces.some("train")
    rows = np.random.default_rng(0).permutation(len(table))[:_CALIBRATION]
    windows = net.metadata.window(detector.jitter(square_around(table.keypoints[rows]), np.random.default_rng(0)))
    matrices = crop_matrices(windows, net.metadata.size)
    return labelled_faces.crops_of(faces.images, table.images[rows], matrices, net.metadata)
