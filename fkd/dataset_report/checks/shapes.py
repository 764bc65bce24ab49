"""Points that together are no face: left and right swapped, or in places where no face has them."""

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.finding import Finding
from fkd.dataset_report.checks.sampling import examples, pieces, reach, sample
from fkd.shape_model import ShapeModel, aligned
from fkd.types import Points

_MOST = 5_000  # faces that the shapes are learned from
_LEAST = 30  # fewer say nothing about what is usual
_KEPT = 0.9  # of them, the most usual: what is looked for must not shape the model
_SWAPPED = 0.6
"""How much nearer to the mean shape the mirrored labelling must lie. On labels that are right it lies farther away, at
least 1.6 times as far on Udacity's faces, and 2.5 times on drawn ones, however turned."""
_FAR = 10.0
"""Robust standard deviations above the median of the logarithm of a face's distance from the shapes. Of sixteen of
Udacity's faces beyond it four are labelled wrongly, the others look down."""
_WRONG = 6.0
"""Median distances that no pose explains: on Udacity two of the four lie beyond, at ten times, and no other face."""


def misshapen(faces: Faces, leave: Rows) -> list[Finding]:
    """Swapped and implausible faces, among those with all points visible.

    Args:
        faces: what is looked at.
        leave: rows that are known to be wrong.
    """
    table = faces.table
    usable = table.visible.all(axis=1) & np.isfinite(table.keypoints).all(axis=(1, 2))
    usable &= np.ptp(table.keypoints, axis=1).max(axis=1) > 0
    usable[leave] = False
    rows = np.flatnonzero(usable)
    if len(rows) < _LEAST:
        return []
    model = usual_shapes(table.keypoints[sample(rows, _MOST)])
    flip = list(table.schema.flip)
    given, mirrored, distance = (
        np.concatenate(parts)
        for parts in zip(
            *(_look(table.keypoints[piece], flip, model) for piece in pieces(rows, "Comparing shapes")), strict=True
        )
    )
    ratio = mirrored / given
    swapped = ratio < _SWAPPED
    logs = np.log(distance)
    middle = np.median(logs)
    spread = max(1.4826 * np.median(abs(logs - middle)), 0.05)  # the standard deviation, were they normal
    far = np.flatnonzero(~swapped & (logs > middle + _FAR * spread))
    found = []
    if swapped.any():
        found.append(_swapped(rows[swapped], ratio[swapped], len(rows)))
    if far.size:
        found.append(_implausible(rows[far], distance[far] / np.exp(middle), len(rows)))
    return found


def usual_shapes(keypoints: Points) -> ShapeModel:
    """The shapes of most of the faces (N, K, 2)."""
    for _ in range(2):
        distance = ShapeModel.fit(keypoints).distance(keypoints)
        keypoints = keypoints[distance <= np.quantile(distance, _KEPT)]
    return ShapeModel.fit(keypoints)


def misfit(keypoints: Points, mean: Points) -> npt.NDArray[np.float64]:
    """(N,) how much of a face's size (N, K, 2) is left when it lies on the mean shape (K, 2) as well as it can.

    Moved, scaled and turned, but not mirrored; 0 to 1.
    """
    left = np.linalg.norm(aligned(keypoints, mean) - mean, axis=(-2, -1)) / np.linalg.norm(mean - mean.mean(axis=0))
    return np.asarray(np.maximum(left, 1e-6))


def _look(keypoints: Points, flip: list[int], model: ShapeModel) -> tuple[npt.NDArray[np.float64], ...]:
    """(N,) misfit as labelled, misfit with left and right exchanged, and distance from the shapes.

    To exchange them on the mean shape does the same as on every face.
    """
    return misfit(keypoints, model.mean), misfit(keypoints, model.mean[flip]), model.distance(keypoints)


def _swapped(rows: Rows, ratio: npt.NDArray[np.float64], total: int) -> Finding:
    return Finding(
        name="swapped",
        title="Left and right swapped",
        severity="fault",
        count=len(rows),
        total=total,
        text=f"On {len(rows):,} of {total:,} faces the points fit a face much better with left and right exchanged.",
        advice="Exchange left and right (a mirrored image needs it as well); until then leave these faces out.",
        rows=examples(rows, -ratio),
        exclude=tuple(rows.tolist()),
        figures={"largest_ratio": float(ratio.max())},
    )


def _implausible(rows: Rows, distance: npt.NDArray[np.float64], total: int) -> Finding:
    wrong = rows[distance > _WRONG]
    return Finding(
        name="implausible",
        title="Points that look like no face",
        severity="warning",
        count=len(rows),
        total=total,
        text=(
            f"The points of {len(rows):,} of {total:,} faces lie {reach(distance, '.1f')} times as"
            " far from the shapes of the set as usual: out of order, partly wrong, or a pose unlike the others;"
            f" {len(wrong):,} so far that they are wrong."
        ),
        advice="Look at them and mend those that are wrong; the farthest are best left out.",
        rows=examples(rows, distance),
        exclude=tuple(wrong.tolist()),
        figures={"farthest": float(distance.max()), "wrong": float(len(wrong))},
    )
