"""The mean shape of a data set's faces, the spread of single points, and the principal modes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.shape_model import ShapeModel, aligned

_MODES = 4


@dataclass(frozen=True)
class Shapes:
    """Statistics of faces after alignment by translation, scale and rotation (Procrustes).

    Cootes et al., "Active Shape Models - Their Training and Application", CVIU 61(1), 1995, sections 3 and 4. Lengths
    are in distances of the mean shape's normaliser points; the line between its eyes is horizontal.

    Attributes:
        faces: their number.
        mean: (K, 2).
        covariances: (K, 2, 2) of each point about its mean.
        modes: (M, K, 2) one standard deviation along each principal mode, the largest first.
        explained: (M,) share of the whole variance.
    """

    faces: int
    mean: npt.NDArray[np.float64]
    covariances: npt.NDArray[np.float64]
    modes: npt.NDArray[np.float64]
    explained: npt.NDArray[np.float64]

    @property
    def spread(self) -> npt.NDArray[np.float64]:
        """(K,) standard deviation of each point: root mean square distance from its mean."""
        return np.asarray(np.sqrt(np.trace(self.covariances, axis1=1, axis2=2)))

    def to_json(self) -> dict[str, Any]:
        return {
            "faces": self.faces,
            "unit": "distance of the mean shape's normaliser points",
            "mean": self.mean.round(6).tolist(),
            "spread": self.spread.round(6).tolist(),
            "explained": self.explained.round(6).tolist(),
        }


def shapes(faces: Faces, rows: Rows) -> Shapes | str:
    """The shapes of the rows with all points visible; or in a few words why there are none."""
    table = faces.table
    keypoints = table.keypoints[rows[table.visible[rows].all(axis=1)]]
    keypoints = keypoints[np.ptp(keypoints, axis=1).max(axis=1, initial=0) > 0]  # points in one place have no shape
    if len(keypoints) < 2:
        return f"expected two faces or more with all {len(table.schema)} points visible, found {len(keypoints)}"
    shapes = aligned(keypoints, ShapeModel.fit(keypoints).mean)
    shapes = shapes @ _level(shapes.mean(axis=0), table.schema.eyes)
    shapes /= table.schema.interocular(shapes.mean(axis=0))
    mean, count = shapes.mean(axis=0), len(shapes)
    differences = shapes - mean
    strengths, axes = np.linalg.svd(differences.reshape(count, -1), full_matrices=False)[1:]
    modes = strengths[:_MODES, None] / np.sqrt(count) * axes[:_MODES]
    return Shapes(
        faces=count,
        mean=mean,
        covariances=np.einsum("nki,nkj->kij", differences, differences) / count,
        modes=modes.reshape(-1, *mean.shape),
        explained=strengths[:_MODES] ** 2 / max((strengths**2).sum(), 1e-12),
    )


def _level(mean: npt.NDArray[np.float64], eyes: tuple[tuple[int, ...], tuple[int, ...]]) -> npt.NDArray[np.float64]:
    """(2, 2) the matrix M with which points (..., 2) @ M have the centres of the eyes on a horizontal line."""
    right, left = (mean[list(eye)].mean(axis=0) for eye in eyes)
    x, y = (left - right) / np.linalg.norm(left - right)
    return np.array([[x, -y], [y, x]])
