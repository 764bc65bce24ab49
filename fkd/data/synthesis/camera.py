"""From head coordinates to the picture: rotation, perspective, and the outline that jaw points follow."""

from typing import NamedTuple

import numpy as np

from fkd.data.synthesis.shape import Array, Head


class Pose(NamedTuple):
    """How the head is turned and seen; angles in radians."""

    yaw: float  # + turns the nose to the picture's right
    pitch: float  # + lifts the nose
    roll: float  # + turns the picture clockwise
    distance: float  # of the camera, in head coordinates


class Camera(NamedTuple):
    """Head coordinates -> picture coordinates, in which the frame is the square from (0, 0) to (1, 1)."""

    rotation: Array  # (3, 3)
    distance: float
    scale: float
    offset: Array  # (2,)

    def rotate(self, points: Array) -> Array:
        """(..., 3) -> (..., 3): x right, y down, z towards the viewer."""
        return points @ self.rotation.T

    def project(self, points: Array) -> Array:
        """(..., 3) head coordinates -> (..., 2) picture coordinates."""
        turned = self.rotate(points)
        return turned[..., :2] * (self.scale / (1 - turned[..., 2:] / self.distance)) + self.offset


def rotation(pose: Pose) -> Array:
    """(3, 3): yaw first, then pitch, then roll."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(pose[:3]), np.sin(pose[:3])
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(roll @ pitch @ yaw)


def visible_points(head: Head, camera: Camera, roll: float) -> Array:
    """The 68 points (68, 2) in picture coordinates, as people label them.

    A jaw point that the turned head hides moves along its path on the surface to the outline ("landmark marching", Zhu
    et al., "High-Fidelity Pose and Expression Normalization for Face Recognition in the Wild", CVPR 2015, sec. 3.1).
    """
    points = camera.project(head.points)
    paths = camera.project(head.jaw_paths)
    outward = (paths @ np.array([np.cos(roll), np.sin(roll)])) * np.sign(np.arange(17) - 8)[:, None]
    points[:17] = paths[np.arange(17), outward.argmax(axis=1)]
    return points


def place(head: Head, pose: Pose, side: float, centre: Array) -> Camera:
    """The camera that puts the square around the 68 points at `centre`, `side` wide, in picture coordinates."""
    camera = Camera(rotation(pose), pose.distance, 1.0, np.zeros(2))
    points = visible_points(head, camera, pose.roll)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = side / float((high - low).max())
    return camera._replace(scale=scale, offset=centre - (low + high) / 2 * scale)
