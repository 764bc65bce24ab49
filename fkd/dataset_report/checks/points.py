"""Points that no face can have: none, at one place, outside the image, or eyes without a distance."""

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.finding import Finding
from fkd.dataset_report.checks.sampling import examples, pieces, point_boxes, published, sample
from fkd.terminal import progress
from fkd.types import Annotations, Points

_MOST = 20_000  # faces whose images' sizes are looked at
_NARROW = 0.15  # distance of the normaliser's points over the size of the face; frontal faces have about 0.6
_FEW = 4  # points; fewer may meet, as two corners of a closed eye do
_PLACE = 0.01  # pixels: points that near are at one place


def unseen(faces: Faces) -> Finding | None:
    """Faces without a single visible point: nothing can be learned from them or measured on them."""
    table = faces.table
    rows = np.flatnonzero(~table.visible.any(axis=1))
    if not len(rows):
        return None
    return Finding(
        name="unseen",
        title="Faces without a visible point",
        severity="fault",
        count=len(rows),
        total=len(table),
        text=f"{len(rows):,} of {len(table):,} faces have no point that counts.",
        advice="Leave them out, or annotate them.",
        rows=examples(rows, np.zeros(len(rows))),
        exclude=tuple(rows.tolist()),
    )


def collapsed(faces: Faces) -> Finding | None:
    """Faces with an eighth of their points, or all of a part such as an eye, and four at least, at one place."""
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
    return Finding(
        name="collapsed",
        title="Many points at one place",
        severity="fault",
        count=len(rows),
        total=len(table),
        text=(
            f"{len(rows):,} of {len(table):,} faces have {least} points or more, or all of a part such as an eye, at"
            f" one place, up to {most[rows].max():,} of {len(table.schema)}."
        ),
        advice="Annotate them anew or mark points that are not there as invisible; until then leave these faces out.",
        rows=examples(rows, most[rows]),
        exclude=tuple(rows.tolist()),
        figures={"most_at_one_place": float(most[rows].max())},
    )


def together(keypoints: Points, visible: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(N,) the most visible points of a face (N, K, 2) at one place."""
    places = np.rint(np.nan_to_num(keypoints.astype(np.float64)) / _PLACE).astype(np.int64)
    numbers = places[..., 0] * 2**31 + places[..., 1]
    numbers[~visible] = np.iinfo(np.int64).max - np.arange(visible.shape[1])[np.nonzero(~visible)[1]]  # none the same
    numbers.sort(axis=1)
    run = longest = np.ones(len(numbers), np.int64)
    for same in (numbers[:, 1:] == numbers[:, :-1]).T:
        run = np.where(same, run + 1, 1)
        longest = np.maximum(longest, run)
    return longest


def narrow(faces: Faces) -> Finding | None:
    """Faces whose normaliser is tiny for their size: each of their errors counts many times."""
    table = faces.table
    first, second = table.schema.normaliser
    every = np.arange(len(table))
    share = np.concatenate([_shares(table.take(piece)) for piece in pieces(every, "Measuring faces")])
    rows = np.flatnonzero((share < _NARROW) & table.visible[:, first] & table.visible[:, second])
    if not len(rows):
        return None
    usual = float(np.nanmedian(share))
    return Finding(
        name="narrow",
        title="Tiny distance between the eyes",
        severity="warning",
        count=len(rows),
        total=len(table),
        text=(
            f"On {len(rows):,} of {len(table):,} faces the points that the error is measured by are closer than"
            f" {_NARROW:.0%} of the face's size (usual: {usual:.0%}), down to {share[rows].min():.1%}:"
            f" their errors count {usual / _NARROW:.0f} times and more."
        ),
        advice="Look whether they are faces in profile or wrong; for profiles read nme_box beside nme_interocular.",
        rows=examples(rows, -share[rows]),
        figures={"least_share": float(share[rows].min()), "usual_share": usual},
    )


def _shares(table: Annotations) -> npt.NDArray[np.float64]:
    """(N,) distance of the normaliser's points over the square root of the area of the visible points' box."""
    boxes = point_boxes(table)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(table.schema.interocular(table.keypoints) / np.sqrt(area), np.float64)


def outside(faces: Faces) -> Finding | None:
    """Visible points beyond the edges of their image."""
    table = faces.table
    looked = sample(np.arange(len(table)), _MOST)
    sizes = _sizes(faces, looked)
    keypoints, visible = published(table, looked), table.visible[looked]
    beyond = np.maximum(-0.5 - keypoints, keypoints - (sizes[:, None] - 0.5)).max(axis=-1)  # (N, K) pixels
    beyond = np.where(visible, beyond, 0)
    count = (beyond > 0).sum(axis=1)
    found = np.flatnonzero(count)
    if not len(found):
        return None
    farthest = beyond.max(axis=1)
    lost = found[count[found] > visible[found].sum(axis=1) / 2]
    told = f", most of the points of {len(lost):,}" if len(lost) else ""
    return Finding(
        name="outside",
        title="Points outside the image",
        severity="fault" if len(lost) else "note",
        count=len(found),
        total=len(looked),
        text=(
            f"{len(found):,} of {len(looked):,} faces have points outside their image{told}: {count.sum():,} points,"
            f" at most {farthest.max():.1f} px out."
        ),
        advice=(
            "Those with most points outside belong to another image or another scale: leave them out."
            if len(lost)
            else "Faces that the image cuts off are part of use: keep them."
        ),
        rows=examples(looked[found], farthest[found]),
        exclude=tuple(looked[lost].tolist()),
        figures={"points": float(count.sum()), "farthest_pixels": float(farthest.max())},
    )


def _sizes(faces: Faces, rows: Rows) -> npt.NDArray[np.int64]:
    """(M, 2) widths and heights of the images of rows (M,)."""
    images, place = np.unique(faces.table.images[rows], return_inverse=True)
    with progress("Measuring images", len(images)) as advance:
        sizes = np.empty((len(images), 2), np.int64)
        for i, image in enumerate(images.tolist()):
            sizes[i] = faces.images[image].shape[1::-1]
            advance()
    return sizes[place]
