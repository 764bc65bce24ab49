"""The pictures on which detectors are compared, and where their faces are."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from fkd.api import compose
from fkd.config import CONF
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.detector_training.split import is_held_out
from fkd.errors import UserError
from fkd.geometry import Correction, eye_rolls, square_around, transform
from fkd.io import images
from fkd.schema import KeypointSchema
from fkd.types import Image, Points

SURE, LEAST_SIDE = 0.6, 20
"""Least score, and pixels of the shorter side, of a teacher's box that must be found."""
ANGLES = 30, 45, 90, 180
_TURNED = 100  # photos
PARTS, DRAWN = 150, 50  # pictures without a face: parts of photos, drawn ones
_PART = 64, 256  # pixels of a part's side
_MARGIN = 0.5  # around a teacher's box, in its sides, where no part may lie
_LEFT = 0.6, 0.7  # share of a cut face that is left
_TRIES = 20


class Picture(NamedTuple):
    """A picture with F known faces."""

    image: Image  # (H, W, 3)
    faces: Points  # (F, 4) squares around their points, turned with the face
    counts: npt.NDArray[np.bool_]  # (F,) whether the face must be found; on any of them a box is right


@dataclass(frozen=True)
class PictureSet:
    """Pictures that are made one after the other."""

    length: int
    make: Callable[[], Iterator[Picture]]


def udacity(root: Path) -> Faces:
    """Udacity's frames, in colour."""
    return build_faces(compose(["data=udacity", f"data.root='{root}'", "channels=3"]))


def sets(root: Path, frames: Faces, seed: int, limit: int | None) -> dict[str, PictureSet]:
    """Sets by name.

    Args:
        root: folder with `300w_photos` and `scenes`.
        frames: Udacity's.
        seed: of what is drawn.
        limit: pictures of each set, evenly chosen; None: all.

    Raises:
        UserError: a folder or file is missing.
    """
    folders = [root / "300w_photos" / name for name in ("lfpw/testset", "helen/testset")]
    scenes, boxes = root / "scenes", root / "scenes/face_boxes.json"
    for path in (*folders, boxes):
        if not path.exists():
            raise UserError(
                f"{path}: expected a part of the benchmark's data, found none; python -m benchmarks.detectors --help "
                "says what belongs there"
            )
    overrides = ["data=pts", f"data.root='{folders[0].parents[1]}'", "data.test=[lfpw/testset,helen/testset]"]
    photos = build_faces(compose([*overrides, "data.train=null", "data.val=null", "channels=3"]))
    labels = {name: np.reshape(rows, (-1, 5)) for name, rows in sorted(json.loads(boxes.read_text()).items())}
    held_out = {name: rows for name, rows in labels.items() if is_held_out(name)}
    correction = yaml.safe_load((CONF / "detector/centerface.yaml").read_text())["correction"]
    teacher = Correction(*(correction[key] for key in ("scale", "x", "y")))  # to squares around points
    some = partial(evenly, limit=limit)
    few = evenly(range(len(photos.subset("test"))), min(_TURNED, limit or _TURNED))
    found = {
        "udacity": _set(some(range(len(frames.subset("test")))), partial(_labelled, frames)),
        "300w": _set(some(range(len(photos.subset("test")))), partial(_labelled, photos)),
        "scenes": _set(some([*held_out]), partial(_scene, scenes, held_out, teacher)),
    }
    parts, drawn = (len(some(range(count))) for count in (PARTS, DRAWN))
    found["empty"] = PictureSet(parts + drawn, partial(_empty, scenes, held_out, parts, drawn, seed))
    for angle in ANGLES:
        found[f"turned_{angle}"] = _set(few, partial(_turned, photos, angle))
    found["cut"] = _set(few, partial(_cut, photos, seed))
    return found


def evenly(items: Sequence[Any], limit: int | None) -> list[Any]:
    """At most `limit` of the items, evenly spread."""
    if limit is None or len(items) <= limit:
        return [*items]
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).astype(int)]


def _set(items: Sequence[Any], make: Callable[[Any], Picture]) -> PictureSet:
    return PictureSet(len(items), lambda: map(make, items))


def _all(image: Image, faces: Points) -> Picture:
    return Picture(image, faces, np.ones(len(faces), bool))


def _with_points(image: Image, points: Points, schema: KeypointSchema) -> Picture:
    """A picture with one face; its square is that of `fkd calibrate` for detectors that give rolls."""
    return _all(image, square_around(points, eye_rolls(points, schema))[None])


def _labelled(faces: Faces, row: int) -> Picture:
    table = faces.subset("test")
    return _with_points(faces.images[int(table.images[row])], table.keypoints[row], table.schema)


def _scene(folder: Path, labels: dict[str, npt.NDArray[np.float64]], teacher: Correction, name: str) -> Picture:
    rows = labels[name]
    counts = (rows[:, 4] >= SURE) & ((rows[:, 2:4] - rows[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE)
    return Picture(images.read(folder / name, 3), teacher((rows[:, :4] - 0.5).astype(np.float32)), counts)


def _turned(faces: Faces, angle: int, row: int) -> Picture:
    """A photo turned about its middle, on a larger grey canvas; to the one or the other side in turn."""
    table = faces.subset("test")
    image = faces.images[int(table.images[row])]
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle if row % 2 else -angle, 1)
    size = np.ceil(np.abs(matrix[:, :2]) @ [width, height] - 1e-6).astype(int)  # a quarter turn adds no pixel
    matrix[:, 2] += (size - np.array([width, height])) / 2
    turned: Any = cv2.warpAffine(image, matrix, size.tolist(), borderValue=(127, 127, 127))
    return _with_points(turned, transform(table.keypoints[row], matrix.astype(np.float32)), table.schema)


def _cut(faces: Faces, seed: int, row: int) -> Picture:
    """A photo that ends in its face: 60 to 70 % of the upright square around the points is left."""
    picture = _labelled(faces, row)
    rng = np.random.default_rng((seed, row))
    left, top, right, bottom = square_around(faces.subset("test").keypoints[row])
    height, width = picture.image.shape[:2]
    gone = (1 - rng.uniform(*_LEFT)) * (right - left)
    x0, y0, x1, y1 = 0, 0, width, height
    match rng.integers(4):
        case 0:
            x0 = max(round(left + gone), 0)
        case 1:
            x1 = min(round(right - gone), width)
        case 2:
            y0 = max(round(top + gone), 0)
        case _:
            y1 = min(round(bottom - gone), height)
    shift = np.array([x0, y0] * 2, np.float32)
    return _all(np.ascontiguousarray(picture.image[y0:y1, x0:x1]), picture.faces - shift)


def _empty(
    folder: Path, labels: dict[str, npt.NDArray[np.float64]], parts: int, drawn: int, seed: int
) -> Iterator[Picture]:
    """Parts of photos where the teacher sees no face, not even a doubtful one; then drawn pictures."""
    rng, none = np.random.default_rng(seed), np.zeros((0, 4), np.float32)
    names = cycle([[*labels][i] for i in rng.permutation(len(labels))])
    while parts:
        image, rows = images.read(folder / (name := next(names)), 3), labels[name]
        sides = rows[:, 2:4] - rows[:, :2]
        taken = np.concatenate([rows[:, :2] - _MARGIN * sides, rows[:, 2:4] + _MARGIN * sides], axis=1)
        for _ in range(_TRIES):
            side = int(rng.integers(_PART[0], min(_PART[1], *image.shape[:2]) + 1))
            top, left = (int(rng.integers(extent - side + 1)) for extent in image.shape[:2])
            apart = (taken[:, :2] >= [left + side, top + side]) | (taken[:, 2:] <= [left, top])
            if apart.any(axis=1).all():
                yield _all(np.ascontiguousarray(image[top : top + side, left : left + side]), none)
                parts -= 1
                break
    for _ in range(drawn):
        yield _all(drawing(rng), none)


def drawing(rng: np.random.Generator) -> Image:
    """Clouds of colour with stripes, ellipses and words."""
    height, width = (int(side) for side in rng.integers(150, 400, 2))
    canvas = np.full((height, width, 3), 127, np.float32)
    for cells in (4, 12, 40, 120):
        noise = rng.normal(0, 25, (cells, cells, 3)).astype(np.float32)
        canvas += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    wave = np.arange(width) * rng.uniform(0.02, 0.5) + np.arange(height)[:, None] * rng.uniform(0.02, 0.5)
    canvas += (np.sin(wave) * rng.uniform(0, 40))[..., None]
    image: Any = np.clip(canvas, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(10)):
        middle, axes = (tuple(rng.integers(0, limits).tolist()) for limits in ((width, height), (80, 80)))
        colour, angle = rng.integers(0, 256, 3).tolist(), float(rng.uniform(0, 180))
        cv2.ellipse(image, middle, axes, angle, 0, 360, colour, int(rng.choice([-1, 1, 4])), cv2.LINE_AA)
    for _ in range(rng.integers(6)):
        word = "".join(rng.choice([*"abcdefghijklmnopqrstuvwxyz0O8%&@"], 8))
        place = tuple(rng.integers(0, (width, height)).tolist())
        font, size = int(rng.integers(8)), float(rng.uniform(0.5, 3))
        cv2.putText(image, word, place, font, size, rng.integers(0, 256, 3).tolist(), 2, cv2.LINE_AA)
    return image  # type: ignore[no-any-return]
