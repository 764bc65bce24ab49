"""Measurements of single faces and images, and their statistics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.head_pose import head_pose
from fkd.io import images
from fkd.schema import IBUG68, KeypointSchema
from fkd.terminal import progress
from fkd.types import Annotations, Image, Points

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


@dataclass(frozen=True)
class Quantity:
    """A number that faces or images have.

    Attributes:
        title: a few words.
        unit: of the values.
        of: "faces" or "images".
        values: (n,) finite numbers; unknown ones are left out.
        note: how to read them.
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

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.values, percent))


@dataclass(frozen=True)
class Sample:
    """Measurements that need images, of n faces.

    Attributes:
        rows: (n,) rows of the table.
        sizes: (n, 2) width and height of their images.
        light: (n, 2) mean and standard deviation of the grey values in the box around the points, 0 to 255; NaN where
            the box lies outside of the image.
        pose: (n, 3) yaw, pitch and roll in degrees; NaN where they are unknown.
    """

    rows: Rows
    sizes: npt.NDArray[np.int64]
    light: npt.NDArray[np.float64]
    pose: npt.NDArray[np.float64]

    @property
    def turned(self) -> npt.NDArray[np.float64]:
        """(n,) angle in degrees between the direction of the face and the camera, whatever the roll."""
        yaw, pitch = np.radians(self.pose[:, :2]).T
        return np.asarray(np.degrees(np.arccos(np.cos(yaw) * np.cos(pitch))))


def why_no_pose(schema: KeypointSchema) -> str:
    """The reason why faces with these points have no pose; empty if they have one."""
    return "" if schema == IBUG68 else f"it needs the 68 points of {IBUG68.name}; these faces have {schema.name}"


def eye_distances(table: Annotations) -> npt.NDArray[np.float32]:
    """(N,) distances of the schema's normaliser points, photo pixels; NaN where one of the two is hidden."""
    known = table.visible[:, list(table.schema.normaliser)].all(axis=1)
    return np.where(known, table.schema.interocular(table.keypoints), np.float32(np.nan))


def measure(faces: Faces, rows: Rows, boxes: Points) -> Sample:
    """Measure the faces of rows (n,) with boxes (n, 4) around their points on their images, with a progress bar."""
    table = faces.table.take(rows)
    has_pose = not why_no_pose(table.schema)
    sizes = np.zeros((len(rows), 2), np.int64)
    light, pose = np.full((len(rows), 2), np.nan), np.full((len(rows), 3), np.nan)
    with progress("measuring images", len(rows)) as advance:
        for i in range(len(rows)):
            photo = faces.images[int(table.images[i])]
            sizes[i] = photo.shape[1::-1]
            light[i] = _light(photo, boxes[i])
            if has_pose and table.visible[i].all():
                pose[i] = head_pose(table.keypoints[i : i + 1])[0]
            advance()
    return Sample(rows, sizes, light, pose)


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


def quantities(faces: Faces, boxes: Points, sample: Sample) -> dict[str, Quantity]:
    """All quantities by name: sizes of every face, given boxes (N, 4) around their points; others of the sample."""
    table = faces.table
    sides = boxes[:, 2:] - boxes[:, :2]
    first, second = (table.schema.names[i] for i in table.schema.normaliser)
    firsts = np.unique(table.images[sample.rows], return_index=True)[1]
    share = 100 * sides[sample.rows].prod(axis=1) / sample.sizes.prod(axis=1)
    mean, sd = sample.light.T
    found: dict[str, tuple[Any, ...]] = {
        "eye_distance": ("Distance of the eyes", "px", "faces", eye_distances(table), f"from {first} to {second}"),
        "box": ("Size of the face", "px", "faces", sides.max(axis=1), "longer side of the box around its points"),
        "box_share": ("Face in its image", "% of the area", "faces", share, "box around the points"),
        "width": ("Width of the images", "px", "images", sample.sizes[firsts, 0]),
        "height": ("Height of the images", "px", "images", sample.sizes[firsts, 1]),
        "brightness": ("Brightness of the face", "of 255", "faces", mean, "mean grey value"),
        "contrast": ("Contrast of the face", "of 255", "faces", sd, "standard deviation of the grey values"),
    }
    if not why_no_pose(table.schema):
        notes = {"yaw": "nose to the image's right", "pitch": "nose up", "roll": "turned clockwise"}
        for (name, note), values in zip(notes.items(), sample.pose.T, strict=True):
            found[name] = (f"Head: {name}", "degrees", "faces", values, f"above 0: {note}")
    return {
        name: Quantity(title, unit, of, values[np.isfinite(values)], *note)
        for name, (title, unit, of, values, *note) in found.items()
    }
