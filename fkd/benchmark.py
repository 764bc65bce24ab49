"""What prediction costs, part by part; both sides of every ratio in one run."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.table import Table

from fkd import images
from fkd.detect import Detector
from fkd.predictor import Net, Predictor
from fkd.types import Image, Points

_WARM_UP, _BLOCK = 3, 20


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        median, low, high: the unit below: median, and the quartiles.
        unit: e.g. "ms".
        faces: found in all of the calls of one pass; says that work was done.
    """

    name: str
    median: float
    low: float
    high: float
    unit: str
    faces: int | None

    @classmethod
    def of(cls, name: str, values: Sequence[float], unit: str, faces: int | None = None) -> "Row":
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(name, round(median, 3), round(low, 3), round(high, 3), unit, faces)


def one_thread() -> None:
    """Holds torch and OpenCV to one thread; ONNX Runtime's nets have one anyway."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def nets(named: Mapping[str, Net], repeats: int) -> Iterator[Row]:
    """Milliseconds a face of nets, one crop a call, in turn so that no one has a better moment."""
    rng = np.random.default_rng(0)
    calls = {}
    for name, net in named.items():
        shape = (1, net.facts.channels, net.facts.size, net.facts.size)
        calls[name] = partial(net, rng.integers(0, 256, shape, np.uint8))
    for name, values in in_turn(calls, repeats, block=_BLOCK).items():
        yield Row.of(name, values, "ms a face")


def detectors(pictures: Sequence[Image], detector: Detector, repeats: int) -> Iterator[Row]:
    """Milliseconds a picture of the detector, beside OpenCV's cascade at its usual settings."""
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data/haarcascade_frontalface_default.xml"))
    greys = [images.in_channels(picture, 1) for picture in pictures]
    found: dict[str, Callable[[Image], int]] = {
        "OpenCV's cascade, 1.1 and 5": lambda grey: len(cascade.detectMultiScale(grey, 1.1, 5)),
        "OpenCV's cascade, 1.2 and 2": lambda grey: len(cascade.detectMultiScale(grey, 1.2, 2)),
        "detector": lambda grey: len(detector(grey)[0]),
    }
    calls = {name: _each(function, greys) for name, function in found.items()}
    values = in_turn(calls, repeats, block=_BLOCK)
    for name, function in found.items():
        yield Row.of(name, values[name], "ms a picture", sum(function(grey) for grey in greys))


def pictures_to_faces(named: Mapping[str, Predictor], pictures: Sequence[Image], repeats: int) -> Iterator[Row]:
    """Milliseconds a picture from pixels to keypoints."""
    calls = {name: _each(predictor, pictures) for name, predictor in named.items()}
    values = in_turn(calls, repeats, block=_BLOCK)
    for name, predictor in named.items():
        yield Row.of(name, values[name], "ms a picture", sum(len(predictor(picture)) for picture in pictures))


def folder(predictor: Predictor, paths: Sequence[Path], repeats: int) -> Iterator[Row]:
    """Pictures a second from files, one by one and as a stream."""

    def one_by_one() -> int:
        return sum(len(predictor(path)) for path in paths)

    def stream() -> int:
        return sum(len(found.faces) for found in predictor.stream(paths))

    faces: dict[str, int] = {}
    calls = {"one by one": lambda: faces.update(one=one_by_one()), "as a stream": lambda: faces.update(stream=stream())}
    values = in_turn(calls, repeats, warm_up=0)
    for name, found in zip(calls, ("one", "stream"), strict=True):
        yield Row.of(name, [1000 * len(paths) / v for v in values[name]], "pictures a second", faces[found])


def in_turn(
    calls: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = _WARM_UP, block: int = 1
) -> dict[str, list[float]]:
    """Milliseconds of each call, `repeats` times; the calls take turns, each for `block` times in a row.

    A block begins with `warm_up` calls that do not count: the other side has filled the processor's caches.
    """
    values: dict[str, list[float]] = {name: [] for name in calls}
    for first in range(0, repeats, block):
        for name, call in calls.items():
            for turn in range(-warm_up, min(block, repeats - first)):
                start = time.perf_counter()
                call()
                if turn >= 0:
                    values[name].append(1000 * (time.perf_counter() - start))
    return values


def on_a_wide_photo(picture: Image, height: int = 720, width: int = 1280) -> Image:
    """A picture with one face put small into the middle of a wide photo whose background has no other."""
    background = cv2.resize(cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 12), (width, height))
    half = cv2.resize(picture, (height // 2, height // 2))
    top, left = height // 4, (width - height // 2) // 2
    background[top : top + height // 2, left : left + height // 2] = half
    return background  # type: ignore[return-value]


class Given:
    """A detector that knows the square of the one face of each picture: what the rest costs."""

    limit = None

    def __init__(self, detector: Detector, pictures: Sequence[Image], squares: Points) -> None:
        self.spread, self._squares = detector.spread, {id(p): s[None] for p, s in zip(pictures, squares, strict=True)}

    def __call__(self, picture: Image, path: str | None = None) -> tuple[Points, npt.NDArray[np.float32]]:
        return self._squares[id(picture)], np.ones(1, np.float32)


def write_photos(pictures: Sequence[Image], count: int, root: Path) -> list[Path]:
    """So many files of these pictures."""
    paths = [root / f"{i:05}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        images.write(path, pictures[i % len(pictures)])
    return paths


def table(title: str, rows: Sequence[Row]) -> Table:
    """Medians with their quartiles."""
    figures = Table("", "median", "quartiles", "unit", "faces", title=title, title_justify="left")
    for row in rows:
        faces = "-" if row.faces is None else f"{row.faces:,}"
        figures.add_row(row.name, f"{row.median:,.2f}", f"{row.low:,.2f} to {row.high:,.2f}", row.unit, faces)
    return figures


def as_json(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[dict[str, Any]]]:
    """Title -> rows, for `benchmark.json`."""
    return {title: [asdict(row) for row in group] for title, group in rows.items()}


def _each(function: Callable[[Any], Any], arguments: Sequence[Any]) -> Callable[[], Any]:
    """A call with the next of the arguments each time."""
    turns = cycle(arguments)
    return lambda: function(next(turns))
