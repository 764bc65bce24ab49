"""Figures of detectors: found faces and false boxes, and times.

One rule for all: a box finds a face if it overlaps the square around the face's points by 30 % or more (IoU). Each box
serves one face and each face has one box, the pair with the largest overlap first. Any other box is false. Boxes of
others than fkd's detectors are first corrected to these squares, as `fkd calibrate` measures it for fkd's own, on
Udacity's training frames.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import cv2

from benchmarks.detectors.pictures import Picture, PictureSet, evenly
from benchmarks.detectors.rivals import Worker
from benchmarks.prediction import on_a_wide_photo
from fkd.data.face_data import Faces
from fkd.evaluation.calibration import Look, calibrate
from fkd.evaluation.matching import match
from fkd.geometry import Correction, square_around
from fkd.terminal import progress
from fkd.types import Image, Points

SIZES = {"200": (200, 200), "400": (400, 400), "1280 x 720": (720, 1280)}
"""Name -> height and width of timed images."""
_CALIBRATED = 400  # frames
_FRAMES = 5  # timed at each size
_CALLS = 4  # one after the other; the first is not timed
ROUNDS = 10
_Key = TypeVar("_Key")


class Time(NamedTuple):
    """Of images of one size."""

    ms: float  # median
    seen: float  # share of the images with a face that was found


class Tally:
    """Counts over pictures."""

    def __init__(self) -> None:
        self.pictures = self.faces = self.found = self.false = self.with_false = 0

    def add(self, picture: Picture, boxes: Points) -> None:
        """Count a picture with the corrected boxes (N, 4) that a detector gives."""
        pairs = match(picture.faces, boxes)
        false = len(boxes) - len(pairs)
        self.pictures += 1
        self.faces += int(picture.counts.sum())
        self.found += int(picture.counts[pairs[:, 0]].sum())
        self.false += false
        self.with_false += false > 0


def correction(worker: Worker, frames: Faces) -> Correction:
    """From a detector's boxes to squares around points, on some of Udacity's training frames."""
    table = frames.some("train")
    looks = []
    rows = evenly(range(len(table)), _CALIBRATED)
    with progress("Measuring the correction", len(rows)) as advance:
        for row in rows:
            found = worker(frames.images[int(table.images[row])])
            squares = square_around(table.keypoints[row : row + 1])
            looks.append(Look(found.boxes, found.scores, squares, str(table.subjects[row])))
            advance()
    return calibrate(looks).correction


def counts(workers: Mapping[str, Worker], sets: Mapping[str, PictureSet]) -> dict[str, dict[str, Any]]:
    """Name of each worker -> set -> its tally."""
    tallies = {name: {title: Tally() for title in sets} for name in workers}
    for title, pictures in sets.items():
        with progress(title, pictures.length) as advance:
            for picture in pictures.make():
                for name, worker in workers.items():
                    tallies[name][title].add(picture, worker(picture.image).boxes)
                advance()
    return {name: {title: vars(tally) for title, tally in each.items()} for name, each in tallies.items()}


def times(workers: Mapping[_Key, Worker], frames: Faces, rounds: int = ROUNDS) -> dict[_Key, dict[str, Time]]:
    """Key of each worker -> size -> time of an image; the workers take turns on one core."""
    table = frames.subset("test")
    faces = [frames.images[int(table.images[row])] for row in evenly(range(len(table)), _FRAMES)]
    values: dict[_Key, dict[str, list[float]]] = {name: {size: [] for size in SIZES} for name in workers}
    seen = {name: dict.fromkeys(SIZES, 0) for name in workers}
    with progress("Timing", rounds) as advance:
        for _ in range(rounds):
            for size, image in _sized(faces):
                for name, worker in workers.items():
                    found = worker(image, _CALLS)
                    values[name][size] += found.ms[1:]
                    seen[name][size] += len(found.boxes) > 0
            advance()
    return {
        name: {
            size: Time(round(statistics.median(ms), 2), seen[name][size] / rounds / len(faces))
            for size, ms in each.items()
        }
        for name, each in values.items()
    }


def _sized(faces: Sequence[Image]) -> Iterator[tuple[str, Image]]:
    for size, (height, width) in SIZES.items():
        for face in faces:
            if height == width:
                resized: Any = cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA)
                yield size, resized
            else:
                yield size, on_a_wide_photo(face, height, width)
