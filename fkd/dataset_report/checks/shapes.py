"""Faces with implausible points: left and right swapped, or at places where no face has them."""

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.sampling import outliers, pieces, reach, sample
from fkd.shape_model import ShapeModel, aligned
from fkd.types import Points

_MOST = 5_000  # faces that the shape model is fitted to
_LEAST = 30  # faces that a shape model needs
_KEPT = 0.9  # share of the faces that are kept for the model: those that are searched for must not change it
_RATIO = 0.6
"""Misfit with left and right exchanged over misfit as labelled, below which they are swapped. Correct labels have at
least 1.6 on Udacity's faces, and 2.5 on synthetic ones, at any rotation."""
_FAR = 10.0
"""Robust standard deviations above the median of the logarithm of a face's distance from the shapes. Of the sixteen
Udacity faces beyond it four are labelled wrongly; the others look down."""
_WRONG = 6.0
"""Median distances that no pose explains: on Udacity two of those four faces lie beyond, at ten, and no other face."""

_SWAPPED = Kind(
    "swapped",
    "Left and right swapped",
    "fault",
    "Exchange left and right (a mirrored image needs it as well); until then leave these faces out.",
)
_IMPLAUSIBLE = Kind(
    "implausible",
    "Points that look like no face",
    "warning",
    "Look at them and correct those that are wrong; leave out the farthest.",
)


def misshapen(faces: Faces, leave: Rows) -> list[Finding]:
    """Swapped and implausible faces, among those with all points visible.

    Args:
        faces: the data set.
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
    flipped = model.mean[list(table.schema.flip)]  # exchanging left and right on the mean does the same as on each face
    measured = []
    for piece in pieces(rows, "Comparing shapes"):
        keypoints = table.keypoints[piece]
        measured.append((misfit(keypoints, model.mean), misfit(keypoints, flipped), model.distance(keypoints)))
    given, mirrored, distance = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    ratio = mirrored / given
    swapped = ratio < _RATIO
    is_far, usual = outliers(distance, _FAR, least=0.05)
    far, total = ~swapped & is_far, len(rows)
    found = []
    if swapped.any():
        text = (
            f"On {swapped.sum():,} of {total:,} faces the points fit a face much better with left and right exchanged."
        )
        figures = {"largest_ratio": float(ratio[swapped].max())}
        these = rows[swapped]
        found.append(_SWAPPED.finding(text, total, these, -ratio[swapped], exclude=these, figures=figures))
    if far.any():
        these, times = rows[far], distance[far] / usual
        wrong = these[times > _WRONG]
        text = (
            f"The points of {len(these):,} of {total:,} faces lie {reach(times, '.1f')} times as"
            " far from the shapes of the set as usual: out of order, partly wrong, or a pose unlike the others;"
            f" {len(wrong):,} so far that they are wrong."
        )
        figures = {"farthest": float(times.max()), "wrong": float(len(wrong))}
        found.append(_IMPLAUSIBLE.finding(text, total, these, times, exclude=wrong, figures=figures))
    return found


def usual_shapes(keypoints: Points) -> ShapeModel:
    """The shape model of most of the faces (N, K, 2)."""
    for _ in range(2):
        distance = ShapeModel.fit(keypoints).distance(keypoints)
        keypoints = keypoints[distance <= np.quantile(distance, _KEPT)]
    return ShapeModel.fit(keypoints)


def misfit(keypoints: Points, mean: Points) -> npt.NDArray[np.float64]:
    """(N,) distance of faces (N, K, 2) from the mean shape (K, 2) after alignment without mirroring, 0 to 1.

    It is a share of the mean shape's size.
    """
    left = np.linalg.norm(aligned(keypoints, mean) - mean, axis=(-2, -1)) / np.linalg.norm(mean - mean.mean(axis=0))
    return np.asarray(np.maximum(left, 1e-6))
