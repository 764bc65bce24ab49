"""Contact sheets: faces with their labels, large enough to see whether points are right."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fkd.data.face_data import SPLITS, Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.measurements import Sample
from fkd.geometry import Crop, adjust, square_around
from fkd.io import images
from fkd.types import Image, Points
from fkd.visualization import draw

_SIZE, _WIDER = 224, 1.4
_COLUMNS = 6
_QUALITY = 85  # of JPEG


@dataclass(frozen=True)
class Tile:
    """One face with its labels.

    Attributes:
        image: (S, S, 3) RGB.
        caption: a few words on the face.
    """

    image: Image
    caption: str

    @property
    def uri(self) -> str:
        """The image as a JPEG data URI."""
        return images.data_uri(self.image, _QUALITY)


@dataclass(frozen=True)
class Sheet:
    """Several faces.

    Attributes:
        name: of its file, without .png.
        title: the kind of faces and how they were chosen.
        tiles: the faces.
    """

    name: str
    title: str
    tiles: tuple[Tile, ...]

    def image(self) -> Image:
        """All tiles with their captions as one image."""
        return draw.sheet([tile.image for tile in self.tiles], _COLUMNS, [tile.caption for tile in self.tiles])


def sheets(faces: Faces, boxes: Points, sample: Sample, count: int, seed: int) -> list[Sheet]:
    """Random faces of each split, the smallest and largest faces, and the most turned heads of the sample.

    Args:
        boxes: (N, 4) around the points of each face.
        sample: the measured faces.
        count: the most faces on a sheet.
        seed: for the random choice.
    """
    found, rng = [], np.random.default_rng(seed)
    for split in SPLITS:
        rows = faces.splits[split]
        some = np.sort(rng.choice(rows, min(count, len(rows)), replace=False))
        found.append(_sheet(faces, split, f"{split}: drawn at random", some, lambda row: _name(faces, row)))
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    order = np.argsort(sides)[: np.isfinite(sides).sum()]
    for name, rows in (("smallest", order[:count]), ("largest", order[::-1][:count])):
        title = f"{name} faces: longer side of the box around their points"
        found.append(_sheet(faces, name, title, rows, lambda row: f"{sides[row]:.0f} px"))
    poses = dict(zip(sample.rows.tolist(), sample.pose, strict=True))
    known = np.isfinite(sample.turned)
    most = sample.rows[known][np.argsort(-sample.turned[known], kind="stable")[:count]]
    title = "most turned heads: yaw and pitch in degrees"
    found.append(_sheet(faces, "turned", title, most, lambda row: "{:+.0f}, {:+.0f}".format(*poses[row])))
    return [sheet for sheet in found if sheet.tiles]


def sheet_of(finding: Finding, faces: Faces, count: int) -> Sheet:
    """Faces that show a finding, each with its split, since twins may differ in nothing else."""

    def caption(row: int) -> str:
        return next((f"{split}: " for split in SPLITS if (faces.splits[split] == row).any()), "") + _name(faces, row)

    rows = np.array(finding.rows[:count], np.int64)
    return _sheet(faces, f"finding_{finding.name}", finding.title, rows, caption)


def _sheet(faces: Faces, name: str, title: str, rows: Rows, caption: Callable[[int], str]) -> Sheet:
    return Sheet(name, title, tuple(Tile(face(faces, row), caption(row)) for row in rows.tolist()))


def face(faces: Faces, row: int) -> Image:
    """(S, S, 3) a face with its visible points (`draw.sides`), or the whole image if these are at one place."""
    table = faces.table
    photo = faces.images[int(table.images[row])]
    visible = table.visible[row]
    points = table.keypoints[row][visible]
    if len(points) and np.ptp(points, axis=0).max() > 0:
        window = adjust(square_around(points), _WIDER)
    else:
        side = max(photo.shape[:2])
        window = np.array([-0.5, -0.5, side - 0.5, side - 0.5], np.float32)
    crop = Crop.from_box(window, _SIZE)
    shown = crop.points(table.keypoints[row])
    return draw.sides(crop.image(photo), shown, visible=visible, schema=table.schema)


def _name(faces: Faces, row: int) -> str:
    return str(faces.table.paths[row]).rpartition("/")[2]
