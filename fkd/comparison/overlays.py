"""The worst faces of the best runs, on the crops that the runs have kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fkd.comparison import tested
from fkd.comparison.settings import shown
from fkd.comparison.tested import FaceErrors
from fkd.errors import UserError
from fkd.io import images
from fkd.types import Image
from fkd.visualization import draw
from fkd.visualization.draw import KEPT, kept_crop

_ZOOM = 2


@dataclass(frozen=True)
class Overlay:
    """One face with the prediction of one run.

    Attributes:
        image: JPEG as a data URI.
        caption: its NME, or "missed".
    """

    image: str
    caption: str


@dataclass(frozen=True)
class Row:
    """One face with the predictions of all runs.

    Attributes:
        name: key of the face, see `tested.FaceErrors`.
        cells: one overlay for each run, in order.
    """

    name: str
    cells: tuple[Overlay, ...]


def worst(runs: Sequence[FaceErrors], count: int) -> list[Row]:
    """The faces with the highest mean error over the runs, highest first; faces that all runs missed are left out.

    Args:
        runs: the test faces of each run; each has kept crops of its own worst faces, and one run's are enough.
        count: number of faces.

    Raises:
        ValueError: a file of a run is damaged, or none has kept crops.
    """
    rows = tested.matched(runs)
    errors = np.nan_to_num(np.mean([run.nme[row] for run, row in zip(runs, rows, strict=True)], axis=0), nan=-1.0)
    missed = np.all([run.missed[row] for run, row in zip(runs, rows, strict=True)], axis=0)
    damage, kept = [f"these runs have kept none in {tested.CROPS}, as new runs do"], list[dict[int, Image]]()
    for run in runs:
        try:
            kept.append(_crops(run))
        except ValueError as error:
            kept.append({})
            damage.append(f"{run.run_dir.name}: {error}")
    if not any(kept):
        raise ValueError(shown(damage[-1]))
    points = [run.points() for run in runs]
    found: list[Row] = []
    for face in np.argsort(-errors, kind="stable"):
        own = [int(row[face]) for row in rows]
        keeper = next((i for i, crops in enumerate(kept) if own[i] in crops), None)
        if missed[face] or keeper is None or len(found) == count:
            continue
        try:
            crop = kept_crop(points[keeper][1][own[keeper]])  # the same for all runs
        except ValueError:  # its true points have no square around them
            continue
        cells = []
        for run, (preds, target, visible), row in zip(runs, points, own, strict=True):
            drawn = crop.points(preds[row]), crop.points(target[row])
            image = draw.face(kept[keeper][own[keeper]], *drawn, visible=visible[row], zoom=_ZOOM)
            caption = "missed" if run.missed[row] else f"{run.nme[row]:.1f} %"
            cells.append(Overlay(images.data_uri(image, images.QUALITY), caption))
        found.append(Row(shown(runs[0].keys[rows[0][face]]), tuple(cells)))
    return found


def _crops(run: FaceErrors) -> dict[int, Image]:
    """Row of a face -> its crop, for those that the run has kept."""
    rows = run.shown()
    if not rows:
        return {}
    path = run.run_dir / tested.CROPS
    if not path.resolve().is_relative_to(run.run_dir.resolve()):
        raise ValueError(f"{tested.CROPS}: expected a file in the run's folder, found a link out of it")
    try:
        strip = images.read(path, 3, max_pixels=len(rows) * KEPT**2)
    except UserError as error:
        raise ValueError(f"{tested.CROPS}: cannot be read ({str(error).removeprefix(f'{path}: ')})") from error
    if strip.shape != (len(rows) * KEPT, KEPT, 3):
        raise ValueError(f"{tested.CROPS}: expected {len(rows)} crops, found an image of {strip.shape[:2]}")
    return {row: strip[i * KEPT : (i + 1) * KEPT] for i, row in enumerate(rows)}
