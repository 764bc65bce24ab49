"""Head pose from keypoints."""

import cv2
import numpy as np
import numpy.typing as npt

from fkd.schema import IBUG68

_HALF = {
    **{17: (-1.33, -0.34, -0.18), 18: (-1.12, -0.47, 0.0), 19: (-0.86, -0.52, 0.15), 20: (-0.62, -0.50, 0.28)},
    **{21: (-0.40, -0.44, 0.38)},
    **{27: (0.0, 0.019, 0.44), 28: (0.0, 0.294, 0.60), 29: (0.0, 0.552, 0.77), 30: (0.0, 0.799, 0.94)},
    **{31: (-0.29, 0.971, 0.56), 32: (-0.16, 1.015, 0.65), 33: (0.0, 1.042, 0.70)},
    **{36: (-1.0, 0.0, -0.02), 37: (-0.83, -0.08, 0.07), 38: (-0.63, -0.085, 0.11), 39: (-0.45, 0.029, 0.12)},
    **{40: (-0.62, 0.095, 0.12), 41: (-0.83, 0.09, 0.08)},
    48: (-0.58, 1.511, 0.20),
}
"""Points of the mean head of `fkd.synthetic`, half of its inter-ocular distance is 1; the others mirror these."""
_STEADY = sorted({*_HALF, *(IBUG68.flip[point] for point in _HALF)})
"""Points that do not move on the skull: without the jaw, whose points slide along the outline, and the lips."""
_GENERIC = np.array([_HALF.get(i) or np.multiply(_HALF[IBUG68.flip[i]], (-1, 1, 1)) for i in _STEADY])
_BACK = np.diag([1.0, 1.0, -1.0])  # OpenCV's camera looks along z, the generic head against it
_FAR = 20.0  # distance of the camera in inter-ocular distances: nearly a parallel projection, as in telephotos


def head_pose(keypoints: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Yaw, pitch and roll (N, 3) in degrees of faces with 68 points (N, 68, 2), in any pixels.

    The pose in which a generic head's points lie on the given ones (perspective-n-point, Terzakis and Lourakis, "A
    Consistently Fast and Globally Optimal Solution to the Perspective-n-Point Problem", ECCV 2020). Positive yaw turns
    the nose to the image's right, positive pitch lifts it, positive roll turns the image clockwise. Real heads differ
    from the generic one: frontal faces give angles within a few degrees of zero. NaN where all points coincide.
    """
    return np.array([_pose(points[_STEADY].astype(np.float64)) for points in keypoints]).reshape(-1, 3)


def _pose(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    centred = points - points.mean(axis=0)
    if not (size := np.linalg.norm(centred, axis=1).mean()) > 0:
        return np.full(3, np.nan)
    pixels = centred / size
    camera = np.diag([_FAR, _FAR, 1.0])
    _, turn, _ = cv2.solvePnP(_GENERIC @ _BACK, pixels, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    rotation = _BACK @ cv2.Rodrigues(turn)[0] @ _BACK
    yaw = np.arctan2(-rotation[2, 0], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[2, 1], -1, 1))
    roll = np.arctan2(-rotation[0, 1], rotation[1, 1])
    return np.degrees([yaw, pitch, roll])
