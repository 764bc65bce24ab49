"""What a run leaves and shows at its end: result.json, pictures, a table."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from fkd import draw, images, plots
from fkd.data.faces import Faces
from fkd.errors import Diverged, UserError
from fkd.evaluation import Scores
from fkd.files import whole_file
from fkd.geometry import Crop

_TILES, _COLUMNS, _ZOOM = 12, 6, 2


class Result:
    """`result.json` of a run, written whatever happens to the run.

    The block ends with status "done"; with "stopped: why" if training diverged or was interrupted; else with
    "failed: why". Exceptions go on.
    """

    def __init__(self, run_dir: str | Path, overrides: Sequence[str]) -> None:
        self.path = Path(run_dir) / "result.json"
        self.values: dict[str, Any] = {"status": "running", "overrides": list(overrides)}

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)  # Lightning turns the first into the second
        why = "interrupted" if interrupted else " ".join(str(error).split()) or type(error).__name__
        stopped = interrupted or isinstance(error, Diverged)
        self.values["status"] = "done" if error is None else f"{'stopped' if stopped else 'failed'}: {why}"
        self.values["seconds"] = round(time.monotonic() - self._start, 1)
        rank_zero_only(write_json)(self.path, self.values)  # the processes of ddp share the folder


def write_json(path: Path, values: Mapping[str, Any] | Sequence[Any]) -> None:
    """Writes JSON to a temporary name and renames it.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(json.dumps(values, indent=2).encode() + b"\n")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose another folder, e.g. hydra.run.dir=DIR"
        ) from None


def save_figures(run_dir: str | Path, scores: Scores, faces: Faces, subset: str) -> Path:
    """Writes `faces.png` (some faces and the worst, both kinds of points) and `ced.png`; gives the path of faces."""
    folder = Path(run_dir)
    table = faces.subset(subset)
    order = np.argsort(scores.face_errors)
    some = np.random.default_rng(0).permutation(len(table))[:_TILES]
    worst = order[::-1][:_COLUMNS]
    tiles, captions = [], []
    for row in [*some, *worst]:
        crop = Crop.from_box(scores.windows[row], 128)
        photo = faces.images[int(table.images[row])]
        preds, target = crop.points(scores.preds[row]), crop.points(scores.target[row])
        tiles.append(draw.face(crop.image(photo), preds, target, visible=table.visible[row], zoom=_ZOOM))
        error = f"{scores.face_errors[row]:.1f} %" if scores.found[row] else "missed"
        captions.append(f"{'worst: ' if len(tiles) > len(some) else ''}{table.subjects[row]} {error}")
    images.write(folder / "faces.png", draw.sheet(tiles, _COLUMNS, captions))
    curves = {"net": scores.curve, "mean shape": np.where(scores.found, scores.mean_shape_errors, np.inf)}
    plots.error_curve(curves, folder / "ced.png")
    return folder / "faces.png"


def metrics_table(title: str, columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """Scores side by side: column title -> content of a `metrics.json`."""
    table = Table("", *columns, title=title, title_justify="left")
    rows = {
        "NME inter-ocular %": "nme_interocular",
        "NME inter-pupil %": "nme_interpupil",
        "NME box %": "nme_box",
        "AUC to 10 %": "auc_10",
        "failures over 10 %": "failure_rate_10",
        "NME, all faces %": "nme_all",
        "faces": "faces",
        "missed faces": "missed_faces",
        "people": "subjects",
        "of them in training": "subjects_in_training",
    }
    for label, key in rows.items():
        table.add_row(label, *(_number(metrics.get(key)) for metrics in columns.values()))
    return table


def part_table(metrics: Mapping[str, Any]) -> Table:
    """NME of each part of the face."""
    table = Table("part", "NME inter-ocular (%)")
    for part, value in metrics.get("per_part", {}).items():
        table.add_row(part, _number(value))
    return table


def facts(rows: Mapping[str, str]) -> str:
    """Labelled lines; a table would cut long paths."""
    width = max(len(label) for label in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())


def show(*parts: Any) -> None:
    """Prints tables and lines; long paths are not broken."""
    console = Console()
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str), highlight=False)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
