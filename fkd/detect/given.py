"""Faces whose place is known: the whole picture, or boxes from a file."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from fkd.detect.base import Correction, Scores
from fkd.errors import UserError
from fkd.geometry import Jitter, square
from fkd.types import Image, Points

_COLUMNS = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class WholeImage:
    """The picture is one face: the largest square in its middle.

    Attributes:
        correction: from that square to the one around the points.
        spread: what the correction leaves.
        limit: see `fkd.detect.Detector`.
    """

    correction: Correction
    spread: Jitter
    limit: float | None

    def __call__(self, picture: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`; there is no score."""
        extent = np.array([picture.shape[1::-1]], np.float64)
        return self.correction(square(extent / 2 - 0.5, extent.min(axis=1))), np.full(1, np.nan, np.float32)


@dataclass(frozen=True)
class BoxFile:
    """Boxes from a file, by the picture's path.

    JSON as in predictions.json (`[{"image": str, "faces": [{"box": [left, top, right, bottom], "score": float}]}]`) or
    `{"photo.jpg": [[left, top, right, bottom], ...]}`; CSV with the columns image, left, top, right, bottom and perhaps
    score. A picture is found by the longest ending of its path that the file names; one that it does not name has no
    face.

    Attributes:
        file: its path.
        correction: from its boxes to the squares around the points.
        spread: what the correction leaves.
        limit: see `fkd.detect.Detector`.

    Raises:
        UserError: the file is missing or broken (by row), or a picture comes without a path or fits two names.
    """

    file: str | None
    correction: Correction
    spread: Jitter
    limit: float | None

    def __post_init__(self) -> None:
        self._boxes  # noqa: B018 (a broken file is said before any picture is read)

    def __call__(self, picture: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`; the score is the file's."""
        if path is None:
            raise UserError(
                f"detector.file={self.file}: expected photos as input, found pixels or frames without a name"
            )
        boxes = self._boxes.get(self._name(path), [])
        order = sorted(boxes, key=lambda box: -math.inf if math.isnan(box.score) else box.score, reverse=True)
        edges = np.array([box.edges for box in order], np.float32).reshape(-1, 4)
        return self.correction(edges), np.array([box.score for box in order], np.float32)

    def _name(self, path: str) -> str | None:
        parts = Path(path).absolute().parts
        for start in range(len(parts)):
            if (name := PurePosixPath(*parts[start:]).as_posix()) in self._boxes:
                return name
        return None

    @cached_property
    def _boxes(self) -> "dict[str, list[_Box]]":
        if self.file is None:
            raise UserError("detector.file: expected a JSON or CSV file of boxes, found none; set detector.file=PATH")
        read = _csv if Path(self.file).suffix.lower() == ".csv" else _json
        try:
            rows = list(read(Path(self.file)))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"detector.file={self.file}: expected a JSON or CSV file of boxes ({reason})") from error
        boxes: dict[str, list[_Box]] = {}
        for name, box in rows:
            boxes.setdefault(PurePosixPath(name.replace("\\", "/")).as_posix(), []).extend([] if box is None else [box])
        return boxes


class _Box(NamedTuple):
    edges: tuple[float, float, float, float]
    score: float


def _json(path: Path) -> Iterator[tuple[str, _Box | None]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        for name, boxes in content.items():
            yield name, None
            yield from ((name, _box(box, None, f"{path}: {name}")) for box in _listed(boxes, f"{path}: {name}"))
        return
    for i, entry in enumerate(_listed(content, str(path))):
        where = f"{path}: entry {i}"
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            raise UserError(f'{where}: expected {{"image": name, "faces": [...]}}, found {str(entry)[:60]}')
        if "frame" in entry:
            raise UserError(f"{where}: expected boxes of photos, found those of a video's frame")
        yield entry["image"], None
        for face in _listed(entry.get("faces"), where):
            if not isinstance(face, dict):
                raise UserError(
                    f'{where}: expected faces like {{"box": [left, top, right, bottom]}}, found {face!r:.60}'
                )
            yield entry["image"], _box(face.get("box"), face.get("score"), where)


def _csv(path: Path) -> Iterator[tuple[str, _Box | None]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := {"image", *_COLUMNS} - set(rows.fieldnames or ()):
            raise UserError(
                f"{path}: expected the columns image, {', '.join(_COLUMNS)}, found no {', '.join(sorted(missing))}"
            )
        for row in rows:
            yield (
                row["image"],
                _box([row[name] for name in _COLUMNS], row.get("score") or None, f"{path} line {rows.line_num}"),
            )


def _listed(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list, found {str(value)[:60]}")
    return value


def _box(edges: Iterable[Any] | None, score: Any, where: str) -> _Box:
    try:
        left, top, right, bottom = (float(edge) for edge in edges)  # type: ignore[union-attr]
        sure = math.nan if score is None else float(score)
    except (TypeError, ValueError):
        raise UserError(f"{where}: expected a box of four numbers, found {edges} (score {score})") from None
    if not all(map(math.isfinite, (left, top, right, bottom))) or not (left < right and top < bottom):
        raise UserError(f"{where}: expected left < right and top < bottom, found {[left, top, right, bottom]}")
    return _Box((left, top, right, bottom), sure)
