"""How many faces a detector finds on photos whose faces are known."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from fkd.detect import Detections, Detector
from fkd.detector_training.photos import Photo
from fkd.evaluation.matching import match
from fkd.geometry import Crop
from fkd.io import images
from fkd.io.atomic import whole_file
from fkd.terminal import progress
from fkd.types import Image, Points
from fkd.visualization import draw

CLEAR, LEAST_SIDE = 0.6, 20.0
"""Least score, and least width in pixels of the square around the points, of the faces that must be found."""
_LEAST = np.arange(0.1, 0.95, 0.05)
_SHOWN, _COLUMNS, _SIDE = 24, 6, 256  # photos with mistakes; in a row; width and height of each in pixels


@dataclass(frozen=True)
class Found:
    """The result on one photo.

    Attributes:
        photo: it.
        boxes: (N, 4) squares that were found.
        scores: (N,).
        faces: (F,) score of the box on each face that must be found; 0 where there is none.
        is_false: (N,) whether the box is on no face, not even on an unclear or small one.
    """

    photo: Photo
    boxes: Points
    scores: npt.NDArray[np.float32]
    faces: npt.NDArray[np.float32]
    is_false: npt.NDArray[np.bool_]

    def mistakes(self, least: float) -> int:
        """Missed faces and false boxes at a least score."""
        return int((self.faces < least).sum() + (self.is_false & (self.scores >= least)).sum())

    def drawn(self, least: float) -> Image:
        """The photo (256, 256, 3) with the boxes from a least score on, in the order of their scores."""
        height, width = self.photo.image.shape
        side, middle = max(height, width), np.array([width, height]) / 2 - 0.5
        crop = Crop.from_box(np.concatenate([middle - side / 2, middle + side / 2]).astype(np.float32), _SIDE)
        shown = self.scores >= least
        boxes = crop.points(self.boxes[shown].reshape(-1, 2)).reshape(-1, 4)
        return draw.boxes(crop.image(self.photo.image), boxes, [f"{score:.2f}" for score in self.scores[shown]])


def look(detector: Detector, photos: Sequence[Photo]) -> Iterator[Found]:
    """Run a detector on photos, with a progress bar."""
    with progress("detecting faces", len(photos)) as advance:
        for photo in photos:
            boxes, scores, _ = Detections(*detector(photo.image, None))
            labels = photo.labels
            pairs = match(labels.squares, boxes)
            found = np.zeros(len(labels.sides), np.float32)
            found[pairs[:, 0]] = scores[pairs[:, 1]]
            must = (labels.scores >= CLEAR) & (labels.sides >= LEAST_SIDE)
            yield Found(photo, boxes, scores, found[must], ~np.isin(np.arange(len(boxes)), pairs[:, 1]))
            advance()


def scores_at(found: Sequence[Found], least: float) -> dict[str, Any]:
    """Share of the faces that are found by boxes with a score from `least` on, and false boxes a photo."""
    faces = np.concatenate([each.faces for each in found])
    false = sum(int((each.is_false & (each.scores >= least)).sum()) for each in found)
    return {
        "score": round(float(least), 3),
        "recall": round(float((faces >= max(least, 1e-6)).mean()), 4) if len(faces) else None,
        "false_per_photo": round(false / len(found), 4),
    }


def table(found: Mapping[str, Sequence[Found]], score: float) -> Table:
    """The scores of each set of photos at one least score."""
    result = Table("photos", "number", "faces", "found", "false a photo", title=f"held-out photos, score {score:g}")
    for name, photos in found.items():
        at = scores_at(photos, score)
        faces = sum(len(each.faces) for each in photos)
        share = "-" if at["recall"] is None else f"{at['recall']:.1%}"
        result.add_row(name, f"{len(photos):,}", f"{faces:,}", share, f"{at['false_per_photo']:.3f}")
    return result


def write(folder: Path, found: Mapping[str, Sequence[Found]], score: float) -> dict[str, str]:
    """Write the scores as JSON, and the photos with the most mistakes; gives lines on the files."""
    content = {name: [scores_at(photos, least) for least in _LEAST] for name, photos in found.items()}
    with whole_file(folder / "scores.json") as file:
        file.write(json.dumps(content, indent=1).encode())
    every = [each for photos in found.values() for each in photos]
    worst = sorted(every, key=lambda each: -each.mistakes(score))[:_SHOWN]
    images.write(folder / "mistakes.png", draw.sheet([each.drawn(score) for each in worst], _COLUMNS))
    return {
        "scores": f"{folder / 'scores.json'} (at other least scores, too)",
        "mistakes": f"{folder / 'mistakes.png'} (photos with missed faces and false boxes)",
    }
