"""How large a net's error at a point probably is, from the spread of the point's heatmap; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.schema import Coordinates

Floats = npt.NDArray[np.floating]

_LEAST_ERROR = 1e-3
"""Errors below it count as equal in the fit of the slope: labels are no more exact, and 0 has no logarithm."""
_SPREADS = 1e-4, 10.0
"""Range of relative spreads; one beyond it is that of no face."""
_SAME_SPREAD = 0.01
"""Relative differences of spreads up to which they say nothing of errors."""
_OFFSETS, _SLOPES = (-20.0, 20.0), (0.0, 4.0)


@dataclass(frozen=True)
class ErrorModel:
    """Expected errors of K points: error = exp(offset of the point + slope * log(spread)).

    Errors are shares of the eye distance, which is that of the schema's normaliser points; spreads are those of
    `relative_spread`.

    Attributes:
        offsets: (K,).
        slope: 0 for a net that gives no spread: then each point has the same expected error on every face.
    """

    offsets: npt.NDArray[np.float64]
    slope: float

    def __post_init__(self) -> None:
        (least, most), (flattest, steepest) = _OFFSETS, _SLOPES
        if self.offsets.ndim != 1 or not ((self.offsets >= least) & (self.offsets <= most)).all():
            raise ValueError(
                f"ErrorModel.offsets: expected numbers from {least:g} to {most:g}, one for each point, found "
                f"{self.offsets.dtype} {self.offsets.shape}"
            )
        if not flattest <= self.slope <= steepest:
            raise ValueError(
                f"ErrorModel.slope: expected a number from {flattest:g} to {steepest:g}, found {self.slope}"
            )

    @classmethod
    def fit(cls, errors: Floats, spreads: Floats | None) -> ErrorModel:
        """The model of faces that the net was not trained on.

        The slope is that of the logarithms about each point's mean, by least squares; the offsets then give each
        point's expected errors the mean of its true ones.

        Args:
            errors: (N, K) distances to the labels; NaN for invisible points.
            spreads: (N, K) of the same points; None if the net gives none.

        Raises:
            ValueError: no error is known.
        """
        known = np.isfinite(errors) if spreads is None else np.isfinite(errors) & np.isfinite(spreads)
        if not known.any():
            raise ValueError(f"ErrorModel: expected errors of faces, found none in {errors.shape}")
        logs = np.zeros(errors.shape) if spreads is None else np.log(np.clip(spreads, *_SPREADS))
        slope = _slope(logs, np.log(np.maximum(errors, _LEAST_ERROR)), known)
        relative = np.where(known, np.exp(slope * logs), 0).sum(axis=0)
        true = np.where(known, errors, 0).sum(axis=0)
        seen = known.any(axis=0)
        ratios = np.where(seen, true, true.sum()) / np.where(seen, relative, relative.sum())
        return cls(np.clip(np.log(np.maximum(ratios, np.exp(_OFFSETS[0]))), *_OFFSETS), slope)

    @property
    def needs_spread(self) -> bool:
        """Whether `expected` needs spreads."""
        return self.slope > 0

    def expected(self, spreads: Floats | None, faces: int) -> npt.NDArray[np.float32]:
        """(N, K) expected errors of N faces; spreads (N, K) as of `fit`.

        Raises:
            ValueError: the model needs spreads, and there are none.
        """
        if not self.needs_spread:
            return np.tile(np.exp(self.offsets), (faces, 1)).astype(np.float32)
        if spreads is None:
            raise ValueError("ErrorModel: expected the spread of each point, found none")
        return np.exp(self.offsets + self.slope * np.log(np.clip(spreads, *_SPREADS))).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain list and number, for files."""
        return {"offsets": self.offsets.tolist(), "slope": self.slope}

    @classmethod
    def from_dict(cls, content: Any, points: int, has_spread: bool) -> ErrorModel | None:
        """A model from the content of `to_dict`, which may be untrusted; None for None, as older files have it.

        Args:
            content: plain data.
            points: expected number of points.
            has_spread: whether the net gives spreads.

        Raises:
            ValueError: the content is not of that form, or needs spreads that the net does not give.
        """
        if content is None:
            return None
        if not isinstance(content, Mapping):
            raise ValueError(f"error_model: expected offsets and a slope, found {type(content).__name__}")
        try:
            model = cls(np.asarray(content["offsets"], np.float64), float(content["slope"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"error_model: expected offsets and a slope that fit, found others ({error})") from error
        if len(model.offsets) != points:
            raise ValueError(f"error_model: expected {points} points, found {len(model.offsets)}")
        if model.needs_spread and not has_spread:
            raise ValueError("error_model: expected a slope of 0 for a net that gives no spread of its points")
        return model


def relative_spread(spread: Coordinates, eye_distance: Coordinates, size: int) -> Coordinates:
    """The spread relative to the geometric mean of the eye distance and the size of the crop.

    The best slopes lie near 2, so the expected error in pixels grows as the square of the spread. On validation faces
    of 300-W and Udacity, the rank correlation with the true errors is higher than relative to the eye distance alone.

    Args:
        spread: (B, K) crop pixels.
        eye_distance: (B,) of the predicted points, crop pixels.
        size: width and height of the crop in pixels.
    """
    relative: Coordinates = spread / (eye_distance * size).clip(min=1.0)[:, None] ** 0.5
    return relative


def _slope(logs: Floats, errors: Floats, known: npt.NDArray[np.bool_]) -> float:
    """Slope of lines through (N, K) points with an intercept for each of the K columns, within its range."""
    count = np.maximum(known.sum(axis=0), 1)
    x, y = (np.where(known, values - np.where(known, values, 0).sum(axis=0) / count, 0) for values in (logs, errors))
    return float(np.clip((x * y).sum() / ((x * x).sum() + _SAME_SPREAD**2 * known.sum()), *_SLOPES))
