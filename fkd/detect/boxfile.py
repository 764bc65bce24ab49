"""Boxes from a file of the user."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Annotated, Any, NamedTuple

import numpy as np

from fkd.detect.base import Candidates, Limit, Scores, best_first
from fkd.errors import UserError, short
from fkd.geometry import Correction, Jitter
from fkd.io.csv_lines import csv_lines
from fkd.io.ranges import OWN_FILE
from fkd.io.regular import regular_file
from fkd.types import Image, Points

_COLUMNS = ["image", "left", "top", "right", "bottom"]


@dataclass(frozen=True)
class BoxFile:
    """Looks up boxes in a file; an image that the file does not name has no faces.

    An image is found by its path or the longest end of its path in the file ("a/x.jpg" of "photos/a/x.jpg"), else by
    its name alone. A box without a score gets NaN.

    Attributes:
        file: JSON, a `predictions.json` or ``{"photo.jpg": [[left, top, right, bottom], ...]}``, where a
            score may be a fifth number; or CSV with the header
            image,left,top,right,bottom and optionally score. In photo pixels.
        correction, jitter, limit: see `fkd.detect.Detector`.

    Raises:
        UserError: the file is missing or has another format, or a box is wrong, by its row; when called: an image
            without a path, or with a name that several images of the file have.
    """

    file: Annotated[str | None, OWN_FILE]
    correction: Correction
    jitter: Jitter
    limit: Limit

    def __post_init__(self) -> None:
        self._faces  # noqa: B018 (a broken file is reported before any image is read)

    def __call__(self, image: Image, path: str | None = None) -> tuple[Points, Scores]:
        """As `fkd.detect.Detector`."""
        if path is None:
            raise UserError(
                f"detector.file={self.file}: expected images from files, found one without a path, by which boxes are"
                " looked up; give photos or choose another detector"
            )
        rows = self._faces.get(self._image(PurePath(path)), [])
        boxes = np.array([row.box for row in rows], np.float32).reshape(-1, 4)
        return best_first(self.correction(boxes), np.array([row.score for row in rows], np.float32))

    def for_hiding(self, image: Image, path: str | None = None) -> Candidates:
        """As `fkd.detect.Detector`; without doubtful boxes."""
        return Candidates(*self(image, path))

    @cached_property
    def _faces(self) -> "dict[str, list[_Row]]":
        """Rows of each image in the file."""
        if self.file is None:
            raise UserError(
                "detector.file: expected a JSON or CSV file with boxes, found none; set detector=boxes "
                "detector.file=PATH"
            )
        faces: dict[str, list[_Row]] = {}
        for row in _read(Path(str(self.file))):
            faces.setdefault(PurePath(row.image).as_posix(), []).extend([row] if row.box else [])
        return faces

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Name without folders -> names of images in the file."""
        names: dict[str, list[str]] = {}
        for image in self._faces:
            names.setdefault(PurePath(image).name, []).append(image)
        return names

    def _image(self, path: PurePath) -> str:
        """The name of an image in the file; empty if it has none."""
        for start in range(len(path.parts)):
            if (image := PurePath(*path.parts[start:]).as_posix()) in self._faces:
                return image
        names = self._names.get(path.name, [])
        if len(names) > 1:
            raise UserError(
                f"{self.file}: expected one image for {path}, found {', '.join(names[:3])}; name images by the"
                " paths they are read from"
            )
        return names[0] if names else ""


class _Row(NamedTuple):
    image: str
    box: list[float]  # left, top, right, bottom; empty for an image without faces
    score: float = math.nan


def _read(path: Path) -> Iterator[_Row]:
    what, where = "a JSON or CSV file with boxes", f"detector.file={path}"
    try:
        with regular_file(path, what, "give another file", where) as file:
            text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected JSON or CSV, found something else; give another file") from error
    if text.lstrip()[:1] not in ("[", "{"):
        return _csv(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected JSON, found none ({error}); mend the file") from error
    return _boxes(content, path) if isinstance(content, dict) else _predictions(content, path)


def _boxes(content: dict[str, Any], path: Path) -> Iterator[_Row]:
    for image, boxes in content.items():
        yield _Row(image, [])
        for i, box in enumerate(_list(boxes, f"{path}: {image}")):
            where, scored = f"{path}: box {i} of {image}", isinstance(box, list) and len(box) == 5
            yield _Row(image, _box(box[:4], where), _score(box[4], where)) if scored else _Row(image, _box(box, where))


def _predictions(content: list[Any], path: Path) -> Iterator[_Row]:
    for i, entry in enumerate(content):
        where = f"{path}: entry {i}"
        if not isinstance(entry, dict) or not isinstance(image := entry.get("image"), str):
            raise UserError(f'{where}: expected {{"image": name, "faces": [...]}}, found {short(entry)}')
        if "frame" in entry:
            raise UserError(f"{where}: expected an image, found a video's frame; give boxes of photos")
        yield _Row(image, [])
        for j, face in enumerate(_list(entry.get("faces"), where)):
            where_face = f"{where}, face {j}"
            if not isinstance(face, dict):
                raise UserError(f'{where_face}: expected {{"box": [...]}}, found {short(face)}')
            yield _Row(image, _box(face.get("box"), where_face), _score(face.get("score"), where_face))


def _csv(path: Path) -> Iterator[_Row]:
    lines = csv_lines(path)
    header = [cell.strip() for cell in next(lines, (1, []))[1]]
    if header not in (_COLUMNS, [*_COLUMNS, "score"]):
        raise UserError(f"{path} line 1: expected {','.join(_COLUMNS)} or that and score, found {short(header)}")
    for line, (image, *cells) in lines:
        where = f"{path} line {line}"
        score = "".join(cells[4:]).strip() or None
        yield _Row(image, _box(cells[:4], where), _score(score, where))


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list of faces, found {short(value)}")
    return value


def _box(value: Any, where: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 4:
        raise UserError(f"{where}: expected a box [left, top, right, bottom], found {short(value)}")
    left, top, right, bottom = box = [_number(edge, where) for edge in value]
    if not (left < right and top < bottom):
        raise UserError(f"{where}: expected left < right and top < bottom, found {short(value)}")
    return box


def _score(value: Any, where: str) -> float:
    return math.nan if value is None else _number(value, f"{where}, score")


def _number(value: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) < 1e9:  # not finite, or outside of any image
        raise UserError(f"{where}: expected a number, found {short(value)}")
    return number
