"""The output of a run: images, a file of the test faces, and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from fkd.data.face_data import Faces
from fkd.evaluation.evaluate import Scores
from fkd.geometry import Crop
from fkd.io import images
from fkd.io.atomic import whole_file
from fkd.visualization import draw, plots

_TILES, _COLUMNS, _ZOOM = 12, 6, 2
_EXPECTED = {"expected_error": "the net's own", "expected_error_cross_validated": "fitted to the other half"}
"""Keys of `metrics.json` -> whose expected errors these are."""
_CROPS = 100
"""Faces found, and faces missed, of which a run keeps a crop: up to 0.7 MB."""


def save_figures(run_dir: str | Path, scores: Scores, faces: Faces, subset: str) -> Path:
    """Write `faces.png` (some faces, then the worst, with both kinds of points) and `ced.png`; return the first.

    And `expected_error.png`, the reliability curve of the errors that the net expects, as far as they are known.
    """
    folder = Path(run_dir)
    table = faces.subset(subset)
    worst = np.argsort(scores.face_errors)[::-1][: min(_COLUMNS, len(table) // 3)]
    others = np.random.default_rng(0).permutation(len(table))
    some = others[~np.isin(others, worst)][:_TILES]
    tiles, captions = [], []
    for row in [*some, *worst]:
        crop = Crop.from_box(scores.windows[row], 128)
        photo = faces.images[int(table.images[row])]
        preds, target = crop.points(scores.preds[row]), crop.points(scores.target[row])
        tiles.append(draw.face(crop.image(photo), preds, target, visible=table.visible[row], zoom=_ZOOM))
        error = f"{scores.face_errors[row]:.1f} %" if scores.found[row] else "missed"
        captions.append(f"{'worst: ' if len(tiles) > len(some) else ''}{table.subjects[row]} {error}")
    images.write(folder / "faces.png", draw.sheet(tiles, _COLUMNS, captions))
    curves = {"net": scores.curve, "mean face": np.where(scores.found, scores.mean_shape_errors, np.inf)}
    plots.error_curve(curves, folder / "ced.png")
    if reliable := {title: found["tenths"] for key, title in _EXPECTED.items() if (found := scores.metrics.get(key))}:
        plots.reliability(reliable, folder / "expected_error.png")
    return folder / "faces.png"


def save_faces(run_dir: str | Path, scores: Scores, faces: Faces, subset: str) -> None:
    """Write the scored faces of a subset to `test_faces.npz`, and crops of some, by which `compare` shows their faces.

    Its arrays, for N faces of K points: `image` and `subject` (N,) text; `nme` (N,) percent of the inter-ocular
    distance, 100 if the face was `missed` (N,); `window` (N, 4), `preds` (NaN if it was missed) and `target`
    (N, K, 2) photo pixels; `visible` (N, K), whether each point of `target` is visible; and `shown` (M,), the faces of
    which `test_faces.jpg` has a crop: the worst of those that were found, and as many that were missed.
    """
    table = faces.subset(subset)
    order = np.argsort(-scores.face_errors, kind="stable")
    order = order[np.ptp(scores.target[order], axis=1).max(axis=1) > 0]  # the others have no square around them
    shown = np.concatenate([order[side[order]][:_CROPS] for side in (scores.found, ~scores.found)])
    crops = [draw.kept_crop(scores.target[row]).image(faces.images[int(table.images[row])]) for row in shown]
    with whole_file(Path(run_dir) / "test_faces.jpg") as file:
        file.write(images.jpeg(np.concatenate(crops), images.QUALITY) if crops else b"")
    with whole_file(Path(run_dir) / "test_faces.npz") as file:
        np.savez_compressed(
            file,
            image=table.paths.astype(str),
            subject=table.subjects.astype(str),
            nme=scores.face_errors.astype(np.float32),
            missed=~scores.found,
            window=scores.windows.astype(np.float32),
            preds=scores.preds.astype(np.float32),
            target=scores.target.astype(np.float32),
            visible=table.visible,
            shown=shown,
        )


def metrics_table(title: str, columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """Scores side by side: column title -> content of a `metrics.json`.

    Scores of all faces come first: the other errors leave out the faces that a detector missed.
    """
    table = Table("", *columns, title=title, title_justify="left")
    rows = {
        "AUC to 10 %, all faces": "auc_10",
        "failures over 10 %, all faces": "failure_rate_10",
        "NME, all faces %": "nme_all",
        "NME inter-ocular %": "nme_interocular",
        "NME inter-pupil %": "nme_interpupil",
        "NME box %": "nme_box",
        "faces": "faces",
        "missed faces": "missed_faces",
        "subjects": "subjects",
        "of them in the net's training": "subjects_in_training",
    }
    for label, key in rows.items():
        lacking = "unknown" if key == "subjects_in_training" else "-"
        table.add_row(label, *(_number(metrics.get(key), lacking) for metrics in columns.values()))
    return table


def expected_error_line(metrics: Mapping[str, Any]) -> str:
    """How well the expected errors of the points agree with the true ones, in one line."""
    return "; ".join(
        f"{title}: rank correlation {found['rank_correlation']:.2f}, worst tenth {found['worst_tenth']:.0f} % off"
        for key, title in _EXPECTED.items()
        if (found := metrics.get(key)) is not None
    )


def part_table(metrics: Mapping[str, Any]) -> Table:
    """NME of each part of the face."""
    table = Table("part", "NME inter-ocular (%)")
    for part, value in metrics.get("per_part", {}).items():
        table.add_row(part, _number(value))
    return table


def _number(value: Any, lacking: str = "-") -> str:
    if value is None:
        return lacking
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
