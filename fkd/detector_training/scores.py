"""How many faces a detector finds on photos whose faces are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
LEAST = np.arange(0.1, 0.95, 0.05).round(2).tolist()
"""Least scores of a box at which a detector is scored."""
_SHOWN, _COLUMNS, _SIDE = 24, 6, 256  # photos with mistakes; in a row; width and height of each in pixels


@dataclass(frozen=True)
class Found:
    """The boxes on one photo.

    Attributes:
        photo: it.
        boxes: (N, 4) squares that were found.
        scores: (N,).
    """

    photo: Photo
    boxes: Points
    scores: npt.NDArray[np.float32]

    def judged(self, least: float) -> Judged:
        """The result of the boxes with a score from `least` on."""
        labels, boxes = self.photo.labels, self.boxes[self.scores >= least]
        pairs = match(labels.squares, boxes)
        must = (labels.scores >= CLEAR) & (labels.sides >= LEAST_SIDE)
        is_found = np.isin(np.arange(len(must)), pairs[:, 0])
        return Judged(int(must.sum()), labels.squares[must & ~is_found], np.delete(boxes, pairs[:, 1], axis=0))

    def drawn(self, least: float) -> Image:
        """The photo (256, 256, 3) with boxes from a least score on, and those of missed faces."""
        height, width = self.photo.image.shape
        side, middle = max(height, width), np.array([width, height]) / 2 - 0.5
        crop = Crop.from_box(np.concatenate([middle - side / 2, middle + side / 2]).astype(np.float32), _SIDE)
        missed, shown = self.judged(least).missed, self.scores >= least
        boxes = np.concatenate([self.boxes[shown], missed]).reshape(-1, 2)
        captions = [*(f"{score:.2f}" for score in self.scores[shown]), *(["missed"] * len(missed))]
        return draw.boxes(crop.image(self.photo.image), crop.points(boxes).reshape(-1, 4), captions)


class Judged(NamedTuple):
    """What is right and wrong on one photo."""

    faces: int  # that must be found
    missed: Points  # (M, 4) their squares
    false: Points  # (N, 4) boxes on no face, not even on an unclear or small one

    @property
    def mistakes(self) -> int:
        """Missed faces and false boxes."""
        return len(self.missed) + len(self.false)


def look(detector: Detector, photos: Sequence[Photo]) -> Iterator[Found]:
    """Run a detector on photos, with a progress bar."""
    with progress("detecting faces", len(photos)) as advance:
        for photo in photos:
            boxes, scores, _ = Detections(*detector(photo.image, None))
            yield Found(photo, boxes, scores)
            advance()


def scores_at(found: Sequence[Found], least: float) -> dict[str, Any]:
    """Share of the faces that are found by boxes with a score from `least` on, and false boxes a photo."""
    judged = [each.judged(least) for each in found]
    faces, missed = sum(each.faces for each in judged), sum(len(each.missed) for each in judged)
    return {
        "score": least,
        "faces": faces,
        "recall": round(1 - missed / faces, 4) if faces else None,
        "false_per_photo": round(sum(len(each.false) for each in judged) / max(len(found), 1), 4),
    }


def table(found: Mapping[str, Sequence[Found]], score: float) -> Table:
    """The scores of each set of photos at one least score."""
    result = Table("photos", "number", "faces", "found", "false a photo", title=f"held-out photos, score {score:g}")
    for name, photos in found.items():
        at = scores_at(photos, score)
        share = "-" if at["recall"] is None else f"{at['recall']:.1%}"
        result.add_row(name, f"{len(photos):,}", f"{at['faces']:,}", share, f"{at['false_per_photo']:.3f}")
    return result


def write(folder: Path, found: Mapping[str, Sequence[Found]], score: float) -> dict[str, str]:
    """Write the scores as JSON, and the photos with the most mistakes; gives lines on the files."""
    content = {name: [scores_at(photos, least) for least in LEAST] for name, photos in found.items()}
    with whole_file(folder / "scores.json") as file:
        file.write(json.dumps(content, indent=1).encode())
    lines = {"scores": f"{folder / 'scores.json'} (at other least scores, too)"}
    mistakes = [(each.judged(score).mistakes, each) for photos in found.values() for each in photos]
    worst = sorted((pair for pair in mistakes if pair[0]), key=lambda pair: -pair[0])[:_SHOWN]
    if worst:
        images.write(folder / "mistakes.png", draw.sheet([each.drawn(score) for _, each in worst], _COLUMNS))
        lines["mistakes"] = f"{folder / 'mistakes.png'} (photos with missed faces and false boxes)"
    return lines
