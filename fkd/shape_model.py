"""Plausibility of face shapes: the distance of keypoints from the shapes of the training faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.geometry import similarity
from fkd.types import Points

_AXES = 20
_REACH = 3.0
"""Standard deviations along an axis within which shapes are allowed (Cootes et al., section 4.2)."""


@dataclass(frozen=True)
class ShapeModel:
    """A point distribution model: the mean shape and the principal axes of the deviations from it.

    Cootes et al., "Active Shape Models - Their Training and Application", CVIU 61(1), 1995, sections 3 and 4. Place,
    size and in-plane rotation of a shape are removed.

    Attributes:
        mean: (K, 2), centred, of unit Frobenius norm.
        axes: (M, 2K) orthonormal principal axes of the aligned shapes.
        deviations: (M,) standard deviations along them.
        unit: the distance that counts as 1: root mean square distance of the training shapes from the allowed ones, or
            what `in_units_of` made of it.
    """

    mean: Points
    axes: npt.NDArray[np.float32]
    deviations: npt.NDArray[np.float32]
    unit: float

    def __post_init__(self) -> None:
        points, axes = self.mean.size, len(self.axes)
        expected = {"mean": (points // 2, 2), "axes": (axes, points), "deviations": (axes,)}
        for name, shape in expected.items():
            found: npt.NDArray[np.float32] = getattr(self, name)
            if found.shape != shape or not np.isfinite(found).all():
                raise ValueError(f"ShapeModel.{name}: expected finite numbers of shape {shape}, found {found.shape}")
        if not 0 < self.unit < np.inf:
            raise ValueError(f"ShapeModel.unit: expected a distance above 0, found {self.unit}")

    @classmethod
    def fit(cls, keypoints: Points) -> ShapeModel:
        """The model of N faces (N, K, 2) in any unit of length.

        Raises:
            ValueError: fewer than two faces.
        """
        if len(keypoints) < 2:
            raise ValueError(f"ShapeModel: expected two or more faces, found {len(keypoints)}")
        mean = _unit(keypoints[:1])[0]
        for _ in range(5):  # generalised Procrustes analysis; converges in fewer steps
            mean = _unit(aligned(keypoints, mean).mean(axis=0)[None])[0]
        shapes = (aligned(keypoints, mean) - mean).reshape(len(keypoints), -1)
        spread, axes = np.linalg.svd(shapes, full_matrices=False)[1:]
        del shapes  # `distance` needs as much memory
        freedom = 2 * len(mean) - 4  # without place, size and rotation: with axes for all of it, any shape is plausible
        count = min(_AXES, len(keypoints) - 1, max(freedom // 2, 1))
        deviations = spread[:count] / np.sqrt(len(keypoints))
        mean, axes, deviations = (a.astype(np.float32) for a in (mean, axes[:count], deviations))
        model = cls(mean, axes, deviations, 1.0)
        unit = float(np.sqrt(np.mean(model.distance(keypoints) ** 2)))
        return replace(model, unit=max(unit, 1e-6))

    def in_units_of(self, distances: npt.NDArray[np.floating]) -> ShapeModel:
        """The same shapes with the 95th percentile of a net's distances on faces (N,) as unit.

        Nets differ in the noise of their keypoints, so a distance is only large or small relative to the same net's
        distances on faces. The unit is at least a tenth of the old one.
        """
        finite = distances[np.isfinite(distances)]
        share = float(np.quantile(finite, 0.95)) if len(finite) else 1.0
        return replace(self, unit=self.unit * max(share, 0.1))

    def plausible(self, keypoints: Points, limit: float | None) -> npt.NDArray[np.bool_]:
        """Whether shapes (..., K, 2) are within the limit: (...); all are without a limit."""
        if limit is None:
            return np.ones(keypoints.shape[:-2], bool)
        return np.asarray(self.distance(keypoints) <= limit)

    def distance(self, keypoints: Points) -> npt.NDArray[np.float64]:
        """Distance of shapes (..., K, 2) from the nearest allowed ones: (...), about 1 for training shapes.

        Infinite where the points coincide or are not finite.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            shapes = (aligned(keypoints, self.mean) - self.mean).reshape(*keypoints.shape[:-2], -1)
            along = np.clip(shapes @ self.axes.T, -_REACH * self.deviations, _REACH * self.deviations)
            distance = np.linalg.norm(shapes - along @ self.axes, axis=-1) / self.unit
        return np.where(np.isfinite(distance), distance, np.inf)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for files."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], points: int) -> ShapeModel:
        """A model from the content of `to_dict`, which may be untrusted.

        Args:
            content: plain data.
            points: expected number of points.

        Raises:
            ValueError: the content is not of that form.
        """
        try:
            mean, axes, deviations = (np.asarray(content[name], np.float32) for name in ("mean", "axes", "deviations"))
            model = cls(mean, axes, deviations, float(content["unit"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"shapes: expected mean, axes, deviations and unit that fit, found others ({error})"
            ) from error
        if len(mean) != points:
            raise ValueError(f"shapes: expected {points} points, found {len(mean)}")
        return model


def _unit(shapes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Shapes (..., K, 2) centred and of unit norm."""
    centred = shapes - shapes.mean(axis=-2, keepdims=True, dtype=np.float64)
    unit: npt.NDArray[np.float64] = centred / np.linalg.norm(centred, axis=(-2, -1), keepdims=True)
    return unit


def aligned(shapes: Points, mean: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Shapes (..., K, 2) moved, scaled and rotated to the mean (K, 2) by least squares."""
    matrix = similarity(shapes, mean)
    moved: npt.NDArray[np.float64] = shapes @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return moved
