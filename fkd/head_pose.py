"""Head pose from keypoints."""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from fkd.synthetic.head_model import EXPRESSION, IDENTITY, head
from fkd.types import Points

_STEADY = [*range(17, 48), 48, 54]
"""Points that do not move on the skull: without the jaw, whose points slide along the outline, and the lips."""
_BACK = np.diag([1.0, 1.0, -1.0])  # OpenCV's camera looks along z, the generic head against it
_FAR = 20.0  # distance of the camera in inter-ocular distances: nearly a parallel projection, as in telephotos


def head_pose(keypoints: Points) -> npt.NDArray[np.float64]:
    """Yaw, pitch and roll (N, 3) in degrees of faces with 68 points (N, 68, 2), in any pixels.

    The pose in which a generic head's points lie on the given ones (perspective-n-point, Terzakis and Lourakis, "A
    Consistently Fast and Globally Optimal Solution to the Perspective-n-Point Problem", ECCV 2020). Positive yaw turns
    the nose to the image's right, positive pitch lifts it, positive roll turns the image clockwise. Real heads differ
    from the generic one: frontal faces give angles within a few degrees of zero.
    """
    return np.array([_pose(points[_STEADY].astype(np.float64)) for points in keypoints]).reshape(-1, 3)


def _pose(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    centred = points - points.mean(axis=0)
    pixels = centred / np.linalg.norm(centred, axis=1).mean()
    camera = np.diag([_FAR, _FAR, 1.0])
    _, turn, _ = cv2.solvePnP(_generic(), pixels, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    rotation = _BACK @ cv2.Rodrigues(turn)[0] @ _BACK
    yaw = np.arctan2(-rotation[2, 0], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[2, 1], -1, 1))
    roll = np.arctan2(-rotation[0, 1], rotation[1, 1])
    return np.degrees([yaw, pitch, roll])


@cache
def _generic() -> npt.NDArray[np.float64]:
    """(N, 3) the steady points of the mean head, in OpenCV's axes."""
    return head(np.zeros(len(IDENTITY)), np.zeros(len(EXPRESSION))).points[_STEADY] @ _BACK
