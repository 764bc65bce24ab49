"""What can be measured on single faces and images, and how such numbers are summed up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.sampling import point_boxes
from fkd.head_pose import head_pose
from fkd.io import images
from fkd.schema import IBUG68
from fkd.terminal import progress
from fkd.types import Annotations, Image, Points

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)
_PIECE = 10_000  # rows


@dataclass(frozen=True)
class Quantity:
    """A number that faces or images have.

    Attributes:
        title: a few words.
        unit: of the values.
        of: what has it, in the plural.
        values: (n,) finite numbers; those that are not known are left out.
        note: what one must know to read them.
    """

    title: str
    unit: str
    of: str
    values: npt.NDArray[np.floating]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Count, mean, standard deviation and percentiles."""
        if len(self.values) == 0:
            return {"unit": self.unit, "count": 0}
        return {
            "unit": self.unit,
            "count": len(self.values),
            "mean": round(float(self.values.mean(dtype=np.float64)), 4),
            "sd": round(float(self.values.std(dtype=np.float64)), 4),
            "percentiles": {str(p): round(self.percentile(p), 4) for p in PERCENTILES},
        }

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.values, share))


@dataclass(frozen=True)
class Seen:
    """What was measured on a sample with its images, n faces.

    Attributes:
        rows: (n,) of the table.
        sizes: (n, 2) width and height of their images.
        light: (n, 2) mean and standard deviation of the grey values in the box around the points, 0 to 255; NaN where
            the box lies outside of the image.
        pose: (n, 3) yaw, pitch and roll in degrees; NaN where they cannot be told.
        no_pose: why there is no pose at all; empty if there is.
    """

    rows: Rows
    sizes: npt.NDArray[np.int64]
    light: npt.NDArray[np.float64]
    pose: npt.NDArray[np.float64]
    no_pose: str

    @property
    def turned(self) -> npt.NDArray[np.float64]:
        """(n,) degrees between where a head looks and the camera, however it is tilted."""
        yaw, pitch = np.radians(self.pose[:, :2]).T
        turned: npt.NDArray[np.float64] = np.degrees(np.arccos(np.cos(yaw) * np.cos(pitch)))
        return turned


def eye_distances(table: Annotations) -> npt.NDArray[np.float32]:
    """(N,) distances of the schema's normaliser points, photo pixels; NaN where one of the two is hidden."""
    pair = list(table.schema.normaliser)
    known = table.visible[:, pair].all(axis=1)
    return np.where(known, table.schema.interocular(table.keypoints), np.float32(np.nan))


def look(faces: Faces, rows: Rows) -> Seen:
    """Measures the faces of these rows on their images, with a progress bar."""
    table, schema = faces.table.take(rows), faces.table.schema
    boxes = point_boxes(table)
    has_pose = schema == IBUG68
    sizes = np.zeros((len(rows), 2), np.int64)
    light, pose = np.full((len(rows), 2), np.nan), np.full((len(rows), 3), np.nan)
    with progress("looking at faces", len(rows)) as advance:
        for i in range(len(rows)):
            photo = faces.images[int(table.images[i])]
            sizes[i] = photo.shape[1::-1]
            light[i] = _light(photo, boxes[i])
            if has_pose and table.visible[i].all():
                pose[i] = head_pose(table.keypoints[i : i + 1])[0]
            advance()
    no_pose = "" if has_pose else f"it is read off the 68 points of {IBUG68.name}; these faces have {schema.name}"
    return Seen(rows, sizes, light, pose, no_pose)


def _light(photo: Image, box: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of the grey values in a box (4,)."""
    if not np.isfinite(box).all():
        return np.nan, np.nan
    height, width = photo.shape[:2]
    left, right = np.clip(np.rint(box[[0, 2]] + [0, 1]), 0, width).astype(int)
    top, bottom = np.clip(np.rint(box[[1, 3]] + [0, 1]), 0, height).astype(int)
    if left >= right or top >= bottom:
        return np.nan, np.nan
    grey = images.in_channels(np.ascontiguousarray(photo[top:bottom, left:right]), 1)
    return float(grey.mean()), float(grey.std())


def quantities(faces: Faces, boxes: Points, seen: Seen) -> dict[str, Quantity]:
    """All that is measured, by name: sizes on every face (N, 4), what needs images on the sample."""
    table = faces.table
    sides = boxes[:, 2:] - boxes[:, :2]
    first, second = (table.schema.names[i] for i in table.schema.normaliser)
    firsts = np.unique(table.images[seen.rows], return_index=True)[1]
    share = 100 * sides[seen.rows].prod(axis=1) / seen.sizes.prod(axis=1)
    found = {
        "eye_distance": Quantity(
            "Distance of the eyes", "px", "faces", eye_distances(table), f"from {first} to {second}"
        ),
        "box": Quantity(
            "Size of the face", "px", "faces", sides.max(axis=1), "longer side of the box around its points"
        ),
        "box_share": Quantity("Face in its image", "% of the area", "faces", share, "box around the points"),
        "width": Quantity("Width of the images", "px", "images", seen.sizes[firsts, 0]),
        "height": Quantity("Height of the images", "px", "images", seen.sizes[firsts, 1]),
        "brightness": Quantity("Brightness of the face", "of 255", "faces", seen.light[:, 0], "mean grey value"),
        "contrast": Quantity(
            "Contrast of the face", "of 255", "faces", seen.light[:, 1], "standard deviation of the grey values"
        ),
    }
    if not seen.no_pose:
        notes = ("above 0: nose to the image's right", "above 0: nose up", "above 0: turned clockwise")
        for i, (name, note) in enumerate(zip(("yaw", "pitch", "roll"), notes, strict=True)):
            found[name] = Quantity(f"Head: {name}", "degrees", "faces", seen.pose[:, i], note)
    return {name: _known(quantity) for name, quantity in found.items()}


def _known(quantity: Quantity) -> Quantity:
    return Quantity(**{**vars(quantity), "values": quantity.values[np.isfinite(quantity.values)]})
