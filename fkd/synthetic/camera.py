"""From head coordinates to the image: rotation, perspective, and jaw points on the outline."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.synthetic.head_model import Array, Head, Single

_JAW = np.arange(17)
_OUTWARDS = np.sign(_JAW - 8.0)[:, None]


class Pose(NamedTuple):
    """Rotation of the head and distance of the camera; angles in radians."""

    yaw: float  # + turns the nose to the image's right
    pitch: float  # + lifts the nose
    roll: float  # + turns the image clockwise
    distance: float  # of the camera, in head coordinates


class Camera(NamedTuple):
    """Head coordinates -> image coordinates; the frame is the square from (0, 0) to (1, 1)."""

    rotation: Array  # (3, 3)
    distance: float
    scale: float
    offset: Array  # (2,)

    def project(self, points: npt.NDArray[np.floating]) -> Array:
        """(..., 3) head coordinates -> (..., 2) image coordinates."""
        turned = points @ self.rotation.T
        return turned[..., :2] * (self.scale / (1 - turned[..., 2:] / self.distance)) + self.offset

    def turn(self, surface: Single) -> Single:
        """A surface (3, ...), coordinates first, in camera axes: x right, y down, z towards the viewer."""
        return np.asarray((self.rotation.astype(np.float32) @ surface.reshape(3, -1)).reshape(surface.shape))

    def flatten(self, turned: Single) -> Single:
        """(3, ...) in camera axes -> (2, ...) image coordinates."""
        flat: Single = turned[:2] * (self.scale / (1 - turned[2] / self.distance))
        flat[0] += self.offset[0]
        flat[1] += self.offset[1]
        return flat


def rotation(pose: Pose) -> Array:
    """(3, 3): yaw first, then pitch, then roll."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(pose[:3]).tolist(), np.sin(pose[:3]).tolist()
    return np.array(
        [
            [cr * cy - sr * sp * sy, -sr * cp, cr * sy + sr * sp * cy],
            [sr * cy + cr * sp * sy, cr * cp, sr * sy - cr * sp * cy],
            [-cp * sy, sp, cp * cy],
        ]
    )


def visible_points(head: Head, camera: Camera, roll: float) -> Array:
    """The 68 points (68, 2) in image coordinates, as people label them.

    A jaw point hidden by a turned head moves along its path on the surface to the outline ("landmark marching", Zhu et
    al., "High-Fidelity Pose and Expression Normalization for Face Recognition in the Wild", CVPR 2015, sec. 3.1).
    """
    projected = camera.project(head.labelled)
    points, paths = projected[:68], projected[68:].reshape(17, -1, 2)
    outward = (projected[68:] @ np.array([math.cos(roll), math.sin(roll)])).reshape(17, -1) * _OUTWARDS
    points[:17] = paths[_JAW, outward.argmax(axis=1)]
    return points


def place(head: Head, pose: Pose, side: float, centre: Array) -> Camera:
    """The camera for which the square around the 68 points has this centre and width, in image coordinates."""
    camera = Camera(rotation(pose), pose.distance, 1.0, np.zeros(2))
    points = visible_points(head, camera, pose.roll)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = side / float((high - low).max())
    return camera._replace(scale=scale, offset=centre - (low + high) / 2 * scale)
