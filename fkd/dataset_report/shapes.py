"""The mean shape of a data set's faces, how single points spread about it, and its principal modes."""

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
    """What faces look like when place, size and tilt are taken off (Procrustes alignment), n of them.

    Cootes et al., "Active Shape Models - Their Training and Application", CVIU 61(1), 1995, sections 3 and 4. Lengths
    are in distances of the mean shape's normaliser points; its eyes lie level.

    Attributes:
        faces: n.
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
        spread: npt.NDArray[np.float64] = np.sqrt(np.trace(self.covariances, axis1=1, axis2=2))
        return spread

    def to_json(self) -> dict[str, Any]:
        return {
            "faces": self.faces,
            "unit": "distance of the mean shape's normaliser points",
            "mean": self.mean.round(6).tolist(),
            "spread": self.spread.round(6).tolist(),
            "explained": self.explained.round(6).tolist(),
        }


def shapes(faces: Faces, rows: Rows) -> Shapes | str:
    """The shapes of those of the rows whose points are all visible; or in a few words why there are none."""
    table = faces.table
    whole = rows[table.visible[rows].all(axis=1)]
    keypoints = table.keypoints[whole]
    whole_sized = np.ptp(keypoints, axis=1).max(axis=1, initial=0) > 0  # points in one place have no shape
    keypoints = keypoints[whole_sized]
    if len(keypoints) < 2:
        return f"expected two faces or more with all {len(table.schema)} points visible, found {len(keypoints)}"
    laid = aligned(keypoints, ShapeModel.fit(keypoints).mean)
    laid = laid @ _level(laid.mean(axis=0), table.schema.eyes)
    laid /= table.schema.interocular(laid.mean(axis=0))
    mean, count = laid.mean(axis=0), len(laid)
    differences = laid - mean
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
    """The matrix that turns points (..., 2) from the right so that the centres of the eyes lie level."""
    right, left = (mean[list(eye)].mean(axis=0) for eye in eyes)
    x, y = (left - right) / np.linalg.norm(left - right)
    return np.array([[x, -y], [y, x]])
