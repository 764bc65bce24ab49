"""Which of the 68 points a photo shows, from a net's spreads and the pose of the head; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.head_pose import head_pose
from fkd.types import Points

Floats = npt.NDArray[np.floating]

_FEATURES = 6
_RIGHT_ANGLE = 90.0  # degrees
_LEAST_SPREAD, _LARGEST = 1e-4, 1e3
_PENALTY, _STEPS = 1.0, 15


@dataclass(frozen=True)
class VisibilityModel:
    """Logistic regression of each point's visibility.

    Attributes:
        weights: (K, 6) of 1, the logarithm of the point's relative spread, yaw, pitch, and the squares of a yaw to the
            right and of one to the left; angles in right angles.
    """

    weights: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.weights.shape[1] != _FEATURES or not (abs(self.weights) <= _LARGEST).all():
            raise ValueError(
                f"VisibilityModel.weights: expected {_FEATURES} numbers from {-_LARGEST:g} to {_LARGEST:g} for each "
                f"point, found {self.weights.shape}"
            )

    @classmethod
    def fit(cls, keypoints: Points, spreads: Floats, visible: npt.NDArray[np.bool_]) -> VisibilityModel:
        """The model of N faces, by iteratively reweighted least squares with a quadratic penalty (Hastie et al., "The
        Elements of Statistical Learning", section 4.4.1).

        Args:
            keypoints: (N, K, 2) as predicted, in any frame.
            spreads: (N, K) `relative_spread` of the points.
            visible: (N, K) whether the image shows them.
        """
        features = np.swapaxes(_features(keypoints, spreads), 0, 1)  # (K, N, F)
        truth = visible.T.astype(np.float64)[..., None]
        penalty = _PENALTY * np.diag([0.0] + [1.0] * (_FEATURES - 1)) + 1e-6 * np.eye(_FEATURES)
        weights = np.zeros((len(features), _FEATURES, 1))
        for _ in range(_STEPS):
            share = _logistic(features @ weights)
            gradient = np.swapaxes(features, 1, 2) @ (share - truth) + penalty @ weights
            curvature = np.swapaxes(features, 1, 2) @ (features * (share * (1 - share))) + penalty
            weights = weights - np.linalg.solve(curvature, gradient).clip(-5, 5)
        return cls(weights[..., 0].clip(-_LARGEST, _LARGEST))

    def probability(self, keypoints: Points, spreads: Floats) -> npt.NDArray[np.float32]:
        """(N, K) probability that each point can be seen; arguments as of `fit`."""
        return _logistic((_features(keypoints, spreads) * self.weights).sum(axis=2)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for files."""
        return {"weights": self.weights.round(5).tolist()}

    @classmethod
    def from_dict(cls, content: Any, points: int, has_spread: bool) -> VisibilityModel | None:
        """A model from the content of `to_dict`, which may be untrusted; None for None.

        Args:
            content: plain data.
            points: expected number of points.
            has_spread: whether the net gives spreads.

        Raises:
            ValueError: the content is not of that form, or the net gives no spreads.
        """
        if content is None:
            return None
        try:
            model = cls(np.asarray(content["weights"] if isinstance(content, Mapping) else None, np.float64))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"visibility_model: expected weights that fit, found others ({error})") from error
        if len(model.weights) != points or points != 68:
            raise ValueError(f"visibility_model: expected 68 points, found {len(model.weights)} of {points}")
        if not has_spread:
            raise ValueError("visibility_model: expected none for a net that gives no spread of its points")
        return model


def _features(keypoints: Points, spreads: Floats) -> npt.NDArray[np.float64]:
    """(N, K, 6)."""
    yaw, pitch, _ = np.nan_to_num(head_pose(keypoints) / _RIGHT_ANGLE).T
    features = np.ones((*spreads.shape, _FEATURES))
    features[..., 1] = np.log(np.maximum(spreads, _LEAST_SPREAD))
    for place, values in enumerate((yaw, pitch, np.maximum(yaw, 0) ** 2, np.maximum(-yaw, 0) ** 2), 2):
        features[..., place] = values[:, None]
    return features


def _logistic(values: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values.clip(-30, 30))))
