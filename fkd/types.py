"""Types of the data, with the shapes beside the fields.

Two coordinate frames exist: *photo pixels* and *crop pixels*. Both are (x, y) in float32 with the centre of the first
pixel at (0, 0); only `fkd.geometry.Crop` goes between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.head_pose import head_pose
from fkd.schema import IBUG68, KeypointSchema

if TYPE_CHECKING:  # an exported net is used without torch
    import torch

Image = npt.NDArray[np.uint8]
"""A decoded image: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA."""

Hashes = npt.NDArray[np.uint64]
"""Hashes of images, which identify them under any file name; 0 for an unknown hash."""

UNKNOWN: Hashes = np.zeros(1, np.uint64)
"""Hashes of any number of unknown images."""

Points = npt.NDArray[np.float32]
"""Keypoints (..., K, 2) as (x, y), or boxes (..., 4) as left, top, right, bottom."""

PerPoint = npt.NDArray[np.float32]
"""A number for each of the K points of B faces, (B, K): a spread, an expected error or a probability."""


@dataclass(frozen=True)
class Annotations:
    """A table of N annotated faces, in arrays, so that a million rows are small and workers share them.

    Attributes:
        schema: of the K points.
        paths: (N,) names of the images; faces of one image have the same name.
        images: (N,) row of each face's image in the image cache.
        keypoints: (N, K, 2) photo pixels, without the ``label_shift``.
        visible: (N, K) whether losses and metrics use the point.
        subjects: (N,) name of the subject.
        label_shift: (N, 2) offset of the published labels to the right: pixels, and a share of the distance between the
            schema's normaliser points. Zero if the source has no known shift.
        image_hashes: (N,) of each face's image; zeros if the source gives none.
    """

    schema: KeypointSchema
    paths: npt.NDArray[np.str_]
    images: npt.NDArray[np.int64]
    keypoints: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    subjects: npt.NDArray[np.str_]
    label_shift: npt.NDArray[np.float32]
    image_hashes: Hashes = field(default_factory=lambda: UNKNOWN)

    def __post_init__(self) -> None:
        rows, points = len(self.paths), len(self.schema)
        if self.image_hashes is UNKNOWN:
            object.__setattr__(self, "image_hashes", np.zeros(rows, np.uint64))
        expected = {
            "images": (rows,),
            "keypoints": (rows, points, 2),
            "visible": (rows, points),
            "subjects": (rows,),
            "label_shift": (rows, 2),
            "image_hashes": (rows,),
        }
        for name, shape in expected.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"Annotations.{name}: expected shape {shape}, found {found}")

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: npt.NDArray[np.int64]) -> Annotations:
        """A table of the given rows, in that order."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "schema"}
        return Annotations(schema=self.schema, **columns)


class Pose(NamedTuple):
    """Where a head is turned, in degrees; 0 looks at the camera."""

    yaw: float  # positive: the nose points to the image's right
    pitch: float  # positive: it points up
    roll: float  # positive: the head leans clockwise


@dataclass(frozen=True)
class Face:
    """One face found on an image.

    Attributes:
        schema: of the K points.
        box: (4,) the square in which the points were searched: left, top, right, bottom in photo pixels; of a face that
            is followed through a video the square around them.
        score: the detector's confidence; None if it gives none.
        keypoints: (K, 2) photo pixels; NaN for a box that may hold a face and is only used for hiding.
        expected_error: (K,) how large the error of each point probably is, as a share of the distance between the
            schema's normaliser points (the outer eye corners); None if the net's errors are unknown.
        visible: (K,) probability that the photo shows the point: that it is not behind the head, hair or a thing; None
            if the net was not calibrated for it.
        id: number of the face in a video, the same in all frames; None where faces are not followed.
    """

    schema: KeypointSchema = field(repr=False)
    box: Points
    score: float | None
    keypoints: Points
    expected_error: npt.NDArray[np.float32] | None = None
    visible: npt.NDArray[np.float32] | None = None
    id: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has keypoints; a box without them may hold a face."""
        return bool(np.isfinite(self.keypoints).all())

    def part(self, name: str) -> Points:
        """The (n, 2) keypoints of a part of the schema, e.g. "left_eye", the subject's own left.

        Raises:
            KeyError: the schema has no such part; the message lists those it has.
        """
        if name not in self.schema.parts:
            raise KeyError(f"{name}: schema {self.schema.name} has the parts {', '.join(self.schema.parts)}")
        return self.keypoints[list(self.schema.parts[name])]

    @property
    def pose(self) -> Pose | None:
        """Where the head is turned, see `fkd.head_pose`.

        None without keypoints, if all are in one place, or for a schema other than ibug68.
        """
        angles = head_pose(self.keypoints[None])[0] if self._has_68_points else np.full(3, np.nan)
        return Pose(*angles.tolist()) if np.isfinite(angles).all() else None

    @property
    def eye_opening(self) -> tuple[float, float] | None:
        """Height over width of the opening of the right and of the left eye: about 0.3 if open, 0.1 if shut.

        The eye aspect ratio of Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016,
        eq. 1. None without keypoints or for a schema other than ibug68.
        """
        return (_opening(self.part("right_eye")), _opening(self.part("left_eye"))) if self._has_68_points else None

    @property
    def mouth_opening(self) -> float | None:
        """Height over width of the opening between the lips, 0 if shut; None as for `eye_opening`."""
        return _opening(self.part("inner_mouth")) if self._has_68_points else None

    @property
    def _has_68_points(self) -> bool:
        return self.is_known and self.schema == IBUG68

    def to_dict(self) -> dict[str, Any]:
        """Plain data as in predictions.json, pixels of the photo and degrees: "box", "score", "keypoints", "pose",
        "eye_opening", "mouth_opening", "expected_error", "visible", and "id" where it has one.
        """
        box, keypoints = (np.round(values.astype(np.float64), 3).tolist() for values in (self.box, self.keypoints))
        pose, eyes, mouth = self.pose, self.eye_opening, self.mouth_opening
        errors, visible = (
            None if values is None else np.round(values.astype(np.float64), 4).tolist()
            for values in (self.expected_error, self.visible)
        )
        return {
            "box": box,
            "score": None if self.score is None else round(self.score, 4),
            "keypoints": keypoints,
            "pose": None if pose is None else {name: round(angle, 2) for name, angle in pose._asdict().items()},
            "eye_opening": None if eyes is None else [round(eye, 4) for eye in eyes],
            "mouth_opening": None if mouth is None else round(mouth, 4),
            "expected_error": errors,
            "visible": visible,
            **({} if self.id is None else {"id": self.id}),
        }


def _opening(outline: Points) -> float:
    """Height over width of an outline (n, 2) from corner to corner along the upper edge, then back along the lower."""
    half = len(outline) // 2
    upper, lower = outline[1:half], outline[:half:-1]
    width = np.linalg.norm(outline[half] - outline[0])
    return float(np.linalg.norm(upper - lower, axis=1).mean() / max(width, 1e-6))


class Batch(NamedTuple):
    """B faces as a net's input."""

    image: torch.Tensor  # (B, C, S, S) uint8, channels last in memory
    keypoints: torch.Tensor  # (B, K, 2) float32, crop pixels
    visible: torch.Tensor  # (B, K) bool
    matrix: torch.Tensor  # (B, 2, 3) float32, photo pixels -> crop pixels, before augmentation
    label_shift: torch.Tensor  # (B, 2) float32, pixels and share of the normaliser's distance
    row: torch.Tensor  # (B,) int64, of the split's table


class Prediction(NamedTuple):
    """Keypoints of a batch and their errors, for callbacks."""

    keypoints: torch.Tensor  # (B, K, 2) float32, crop pixels
    errors: torch.Tensor  # (B, K) float32, distance to the labels as a share of the inter-ocular distance
