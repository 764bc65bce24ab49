"""Errors of predicted keypoints: pure functions, then torchmetrics classes of them.

Points (N, K, 2) are in one frame, usually photo pixels; only the visible ones (N, K) count. Functions return fractions;
the classes and `summary` return percent. Every function raises ValueError if shapes do not fit.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from fkd.schema import KeypointSchema


def point_errors(preds: Tensor, target: Tensor, normaliser: Tensor) -> Tensor:
    """Distance of every point from its target over the face's normaliser.

    Args:
        preds: (N, K, 2) keypoints.
        target: (N, K, 2), same frame.
        normaliser: (N,) distance that counts as 1, e.g. between the outer eye corners.

    Returns:
        (N, K) fractions.

    Raises:
        ValueError: shapes differ, or a normaliser is not positive (named by its index).
    """
    if preds.ndim != 3 or preds.shape[-1] != 2:
        raise ValueError(f"preds: expected shape (N, K, 2), found {tuple(preds.shape)}")
    if target.shape != preds.shape:
        raise ValueError(f"target: expected the shape of preds, {tuple(preds.shape)}, found {tuple(target.shape)}")
    if normaliser.shape != preds.shape[:1]:
        raise ValueError(f"normaliser: expected shape {tuple(preds.shape[:1])}, found {tuple(normaliser.shape)}")
    if len(wrong := (~(normaliser > 0)).nonzero()):
        index = int(wrong[0])
        raise ValueError(f"normaliser[{index}]: expected a positive distance, found {normaliser[index].item():g}")
    return _distance(preds, target) / normaliser[:, None]


def nme(preds: Tensor, target: Tensor, normaliser: Tensor, visible: Tensor) -> Tensor:
    """Normalised mean error of each face: the mean of `point_errors` over its visible points.

    Args:
        preds: (N, K, 2) keypoints.
        target: (N, K, 2), same frame.
        normaliser: (N,) distance that counts as 1.
        visible: (N, K) bool.

    Returns:
        (N,) fractions; NaN for a face without a visible point.

    Raises:
        ValueError: shapes differ, or a normaliser is not positive (named by its index).
    """
    errors = _masked(point_errors(preds, target, normaliser), visible)
    return errors.sum(dim=1) / visible.sum(dim=1)


def interpupil(target: Tensor, visible: Tensor, schema: KeypointSchema) -> Tensor:
    """(N, K, 2) -> (N,) distance between the centres of the eyes, each the mean of the visible points of that eye.

    NaN for a face without a visible point of one of them.
    """
    known = target.masked_fill(~visible[..., None], 0)
    right, left = (known[:, list(eye)].sum(dim=1) / visible[:, list(eye)].sum(dim=1)[:, None] for eye in schema.eyes)
    return _distance(right, left)


def box_size(target: Tensor, visible: Tensor) -> Tensor:
    """(N, K, 2) -> (N,) square root of the area of the upright box of the visible points; 0 if they are on a line."""
    hidden = ~visible[..., None]
    low = target.masked_fill(hidden, torch.inf).amin(dim=1)
    high = target.masked_fill(hidden, -torch.inf).amax(dim=1)
    return (high - low).clamp(min=0).prod(dim=-1).sqrt()


def auc(errors: Tensor, limit: float) -> float:
    """Area under the cumulative error distribution from 0 to limit, over limit: 1 without errors, 0 beyond limit.

    Exact: a face with error e adds a step of height 1 / N from e to limit.

    Args:
        errors: (N,) error of each face; infinity for a missed face.
        limit: in the same unit.
    """
    return float((1 - _some(errors) / limit).clamp(0, 1).mean())


def failure_rate(errors: Tensor, limit: float) -> float:
    """Share of the faces (N,) whose error is above limit or NaN, 0 to 1."""
    return 1 - float((_some(errors) <= limit).float().mean())


def summary(preds: Tensor, target: Tensor, visible: Tensor, schema: KeypointSchema) -> dict[str, object]:
    """All metrics of a set of predictions.

    Args:
        preds: (N, K, 2) keypoints.
        target: (N, K, 2), same frame.
        visible: (N, K) bool; faces without a visible point do not count.
        schema: of the points.

    Returns:
        nme_interocular: mean over the faces, in percent of that normaliser.
        nme_interpupil, nme_box: the same over the faces with both eyes visible, or with a box that has an area; None if
            there is no such face.
        auc_10: area under the inter-ocular error curve up to 10 %, 0 to 1.
        failure_rate_10: percent of the faces with an inter-ocular error above 10 %.
        per_part: part -> percent, inter-ocular, mean over its visible points; None if none is visible.
        per_keypoint: the same for each of the K points.

    Raises:
        ValueError: shapes differ, no face has a visible point, or an inter-ocular distance is not positive (named by
            its index among the faces with a visible point).
    """
    seen = visible.any(dim=1)
    preds, target, visible = preds[seen], target[seen], visible[seen]
    normaliser = schema.interocular(target)
    errors = _some(nme(preds, target, normaliser, visible))
    sums = _masked(point_errors(preds, target, normaliser), visible).sum(dim=0)
    counts = visible.sum(dim=0)
    return {
        "nme_interocular": 100 * float(errors.mean()),
        "nme_interpupil": _mean_of_some(preds, target, interpupil(target, visible, schema), visible),
        "nme_box": _mean_of_some(preds, target, box_size(target, visible), visible),
        "auc_10": auc(errors, 0.1),
        "failure_rate_10": 100 * failure_rate(errors, 0.1),
        "per_part": {name: _percent(sums, counts, points) for name, points in schema.parts.items()},
        "per_keypoint": [_percent(sums, counts, [point]) for point in range(len(schema))],
    }


class NME(Metric):
    """Mean of `nme` over all faces seen so far, in percent; faces without a visible point do not count."""

    full_state_update = False
    total: Tensor
    faces: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("faces", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, normaliser: Tensor, visible: Tensor) -> None:
        """Add N faces; arguments and errors as in `nme`."""
        errors = nme(preds, target, normaliser, visible)
        self.total += errors.nansum()
        self.faces += visible.any(dim=1).sum()

    def compute(self) -> Tensor:
        """Percent; NaN without faces."""
        return 100 * self.total / self.faces


class PartNME(Metric):
    """Mean of `point_errors` over the visible points of each part of all faces seen so far, in percent."""

    full_state_update = False
    sums: Tensor
    counts: Tensor

    def __init__(self, parts: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.parts = parts
        points = 1 + max(index for part in parts.values() for index in part)
        self.add_state("sums", torch.zeros(points), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(points, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, normaliser: Tensor, visible: Tensor) -> None:
        """Add N faces; arguments and errors as in `nme`."""
        self.sums += _masked(point_errors(preds, target, normaliser), visible).sum(dim=0)
        self.counts += visible.sum(dim=0)

    def compute(self) -> dict[str, Tensor]:
        """Part -> percent; NaN for a part without a visible point."""
        return {
            name: 100 * self.sums[list(points)].sum() / self.counts[list(points)].sum()
            for name, points in self.parts.items()
        }


def _distance(first: Tensor, second: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(first - second, dim=-1)
    return distance


def _masked(errors: Tensor, visible: Tensor) -> Tensor:
    """Errors (N, K); 0 at invisible points, whose target may be NaN."""
    if visible.shape != errors.shape or visible.dtype != torch.bool:
        raise ValueError(
            f"visible: expected bool of shape {tuple(errors.shape)}, found {visible.dtype} {tuple(visible.shape)}"
        )
    return errors.masked_fill(~visible, 0)


def _some(errors: Tensor) -> Tensor:
    if errors.ndim != 1 or len(errors) == 0:
        raise ValueError(f"errors: expected shape (N,) with N of at least 1, found {tuple(errors.shape)}")
    return errors


def _mean_of_some(preds: Tensor, target: Tensor, normaliser: Tensor, visible: Tensor) -> float | None:
    """Mean of `nme` in percent over the faces whose normaliser is positive; None without such a face."""
    some = normaliser > 0
    if not some.any():
        return None
    return 100 * float(nme(preds[some], target[some], normaliser[some], visible[some]).mean())


def _percent(sums: Tensor, counts: Tensor, points: Sequence[int]) -> float | None:
    count = int(counts[list(points)].sum())
    return 100 * float(sums[list(points)].sum()) / count if count else None
