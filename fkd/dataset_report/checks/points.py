"""Points that no face can have: all hidden, many at one place, outside the image, or eyes without a distance."""

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.sampling import of_images, pieces, point_boxes, published, sample
from fkd.types import Annotations, Points

_MOST = 20_000  # faces whose image sizes are compared
_NARROW = 0.15  # distance of the normaliser's points over the size of the face; frontal faces have about 0.6
_FEW = 4  # fewer points may meet, e.g. two corners of a closed eye
_PLACE = 0.01  # pixels within which points are at one place

_UNSEEN = Kind("unseen", "Faces without a visible point", "fault", "Leave them out, or annotate them.")
_COLLAPSED = Kind(
    "collapsed",
    "Many points at one place",
    "fault",
    "Annotate them again or mark missing points as hidden; until then leave these faces out.",
)
_NARROW_EYES = Kind(
    "narrow",
    "Tiny distance between the eyes",
    "warning",
    "Check whether they are faces in profile or wrong; for profiles read nme_box beside nme_interocular.",
)
_LOST = Kind(
    "outside",
    "Points outside the image",
    "fault",
    "Faces with most points outside belong to another image or another scale: leave them out.",
)
_CUT = Kind("outside", _LOST.title, "note", "Faces that the image cuts off occur in use: keep them.")


def unseen(faces: Faces) -> Finding | None:
    """Faces without a visible point: no loss and no metric can use them."""
    table = faces.table
    rows = np.flatnonzero(~table.visible.any(axis=1))
    if not len(rows):
        return None
    text = f"{len(rows):,} of {len(table):,} faces have no visible point."
    return _UNSEEN.finding(text, len(table), rows, exclude=rows)


def collapsed(faces: Faces) -> Finding | None:
    """Faces with an eighth of their points, or all points of a part such as an eye, and at least four, at one place."""
    table = faces.table
    least = max(_FEW, len(table.schema) // 8)
    parts = [list(points) for points in table.schema.parts.values() if len(points) >= _FEW]
    every, shrunk = np.arange(len(table)), []
    most = np.zeros(len(table), np.int64)
    for some in pieces(every, "Comparing points"):
        keypoints, visible = table.keypoints[some], table.visible[some]
        most[some] = together(keypoints, visible)
        shrunk += [some[together(keypoints[:, part], visible[:, part]) == len(part)] for part in parts]
    rows = np.union1d(np.flatnonzero(most >= least), np.concatenate([every[:0], *shrunk]))
    if not len(rows):
        return None
    text = (
        f"{len(rows):,} of {len(table):,} faces have at least {least} points, or all of a part such as an eye, at one"
        f" place, up to {most[rows].max():,} of {len(table.schema)}."
    )
    figures = {"most_at_one_place": float(most[rows].max())}
    return _COLLAPSED.finding(text, len(table), rows, most[rows], exclude=rows, figures=figures)


def together(keypoints: Points, visible: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(N,) the largest number of visible points of a face (N, K, 2) at one place."""
    places = np.rint(np.nan_to_num(keypoints.astype(np.float64)) / _PLACE).astype(np.int64)
    numbers = places[..., 0] * 2**31 + places[..., 1]
    # Each hidden point has a number of its own.
    numbers[~visible] = np.iinfo(np.int64).max - np.arange(visible.shape[1])[np.nonzero(~visible)[1]]
    numbers.sort(axis=1)
    run = longest = np.ones(len(numbers), np.int64)
    for same in (numbers[:, 1:] == numbers[:, :-1]).T:
        run = np.where(same, run + 1, 1)
        longest = np.maximum(longest, run)
    return longest


def narrow(faces: Faces) -> Finding | None:
    """Faces whose normaliser is tiny for their size, so that their errors count many times."""
    table = faces.table
    first, second = table.schema.normaliser
    every = np.arange(len(table))
    share = np.concatenate([_shares(table.take(piece)) for piece in pieces(every, "Measuring faces")])
    rows = np.flatnonzero((share < _NARROW) & table.visible[:, first] & table.visible[:, second])
    if not len(rows):
        return None
    usual = float(np.nanmedian(share))
    text = (
        f"On {len(rows):,} of {len(table):,} faces the two points whose distance normalises the error are closer than"
        f" {_NARROW:.0%} of the face's size (usual: {usual:.0%}), down to {share[rows].min():.1%}:"
        f" their errors count {usual / _NARROW:.0f} times and more."
    )
    figures = {"least_share": float(share[rows].min()), "usual_share": usual}
    return _NARROW_EYES.finding(text, len(table), rows, -share[rows], figures=figures)


def _shares(table: Annotations) -> npt.NDArray[np.float64]:
    """(N,) distance of the normaliser's points over the square root of the area of the visible points' box."""
    boxes = point_boxes(table)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(table.schema.interocular(table.keypoints) / np.sqrt(area), np.float64)


def outside(faces: Faces) -> Finding | None:
    """Visible points beyond the edges of their image."""
    table = faces.table
    rows = sample(np.arange(len(table)), _MOST)
    sizes = of_images(faces, rows, "Measuring images", lambda image: image.shape[1::-1])
    keypoints, visible = published(table, rows), table.visible[rows]
    beyond = np.maximum(-0.5 - keypoints, keypoints - (sizes[:, None] - 0.5)).max(axis=-1)  # (N, K) pixels
    beyond = np.where(visible, beyond, 0)
    count = (beyond > 0).sum(axis=1)
    found = np.flatnonzero(count)
    if not len(found):
        return None
    farthest = beyond.max(axis=1)
    lost = found[count[found] > visible[found].sum(axis=1) / 2]
    most = f", most of the points of {len(lost):,}" if len(lost) else ""
    text = (
        f"{len(found):,} of {len(rows):,} faces have points outside their image{most}: {count.sum():,} points,"
        f" at most {farthest.max():.1f} px out."
    )
    figures = {"points": float(count.sum()), "farthest_pixels": float(farthest.max())}
    kind = _LOST if len(lost) else _CUT
    return kind.finding(text, len(rows), rows[found], farthest[found], exclude=rows[lost], figures=figures)
