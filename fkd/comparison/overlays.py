"""The worst faces of the best runs, cut from the images that the runs were tested on."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import OmegaConf

from fkd.comparison import tested
from fkd.comparison.tested import FaceErrors
from fkd.config.instantiate import instantiate
from fkd.data.face_data import Faces
from fkd.data.sources import FileSet
from fkd.errors import UserError
from fkd.geometry import Crop, adjust, square_around
from fkd.io import images
from fkd.types import Image, Points
from fkd.visualization import draw

_SIZE, _ZOOM, _WIDER = 112, 2, 1.5
_QUALITY = 85  # of JPEG
_PLACES = ("root", "cache_dir", "exclude")
"""Keys of a data set whose values are paths."""
_SOURCES = ("fkd.data.", "fkd.synthetic.")
"""Packages with functions that return faces."""


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


def worst(runs: Sequence[FaceErrors], source: Path, count: int) -> list[Row]:
    """The faces with the highest mean error over the runs, highest first; faces that all runs missed are left out.

    Args:
        runs: the test faces of each run.
        source: folder of a run, whose config names the data set.
        count: number of faces.

    Raises:
        UserError: the images are not available here.
    """
    rows = tested.matched(runs)
    errors = np.nan_to_num(np.mean([run.nme[row] for run, row in zip(runs, rows, strict=True)], axis=0), nan=-1.0)
    missed = np.all([run.missed[row] for run, row in zip(runs, rows, strict=True)], axis=0)
    order = np.argsort(-errors, kind="stable")
    chosen = order[~missed[order]][:count]
    faces = _faces(source)
    place = {key: row for row, key in enumerate(tested.face_keys(faces.table.paths).tolist())}
    points = [run.points() for run in runs]
    found = []
    for face in chosen:
        key = str(runs[0].keys[rows[0][face]])
        if key not in place:
            raise UserError(f"{key}: the data set of {source} no longer has this test face")
        photo = faces.images[int(faces.table.images[place[key]])]
        cells = [_overlay(photo, *points[i], run, int(rows[i][face])) for i, run in enumerate(runs)]
        found.append(Row(key, tuple(cells)))
    return found


def _overlay(
    photo: Image, preds: Points, target: Points, visible: npt.NDArray[np.bool_], run: FaceErrors, row: int
) -> Overlay:
    """The window is the same for all runs and does not depend on the windows of their nets."""
    crop = Crop.from_box(adjust(square_around(target[row]), _WIDER), _SIZE)
    points = crop.points(preds[row]), crop.points(target[row])
    image = draw.face(crop.image(photo), *points, visible=visible[row], zoom=_ZOOM)
    caption = "missed" if run.missed[row] else f"{run.nme[row]:.1f} %"
    return Overlay(images.data_uri(image, _QUALITY), caption)


def _faces(run_dir: Path) -> Faces:
    """The data set of a run, built again from its config.

    The config may be untrusted: it can call nothing but sources of fkd, with plain values. Relative paths start at the
    working directory of the run, and no missing folder is created.
    """
    configs = (run_dir if (run_dir / ".hydra").is_dir() else run_dir.parent) / ".hydra"  # of several evaluated nets
    try:
        config = OmegaConf.load(configs / "config.yaml")
        start = OmegaConf.select(OmegaConf.load(configs / "hydra.yaml"), "hydra.runtime.cwd")
        source: Any = OmegaConf.to_container(OmegaConf.select(config, "data.source"), resolve=True)
        _check_source(source.get("_target_"))
        faces: Faces = instantiate(_checked(source, Path(start)), "data.source")
        return faces
    except UserError:
        raise
    except Exception as error:  # a config of another version or machine can fail in any way
        reason = " ".join(str(error).split())
        raise UserError(f"{run_dir}: its data cannot be built again ({type(error).__name__}: {reason})") from error


def _checked(node: Any, start: Path, key: str = "data.source") -> Any:
    """A part of a source's config in which only sources are called, with paths relative to the folder `start`.

    Raises:
        UserError: it calls something else, contains an interpolation, or its root is missing.
    """
    if isinstance(node, str) and "${" in node:
        raise UserError(f"{key}: expected a plain value, found {node!r}")
    if isinstance(node, list):
        return [_checked(child, start, key) for child in node]
    if not isinstance(node, dict):
        return node
    if "_target_" in node:
        _check_source(node["_target_"], key)
    node = {name: _checked(child, start, f"{key}.{name}") for name, child in node.items()}
    node |= {name: str(Path(start, node[name])) for name in _PLACES if isinstance(node.get(name), str)}
    if (root := node.get("root")) is not None and not Path(root).is_dir():
        raise UserError(f"{root}: the run's data are not here")
    return node


def _check_source(target: Any, key: str = "data.source") -> None:
    """Raise UserError unless the target is a function of fkd that returns faces, or `FileSet`.

    What the modules of fkd import from elsewhere, e.g. numpy or os, is refused.
    """
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module.startswith(_SOURCES) else None
    except (ImportError, AttributeError):
        found = None
    gives_faces = inspect.isfunction(found) and inspect.signature(found, eval_str=True).return_annotation is Faces
    if not (found is FileSet or (gives_faces and found.__module__.startswith(_SOURCES))):
        raise UserError(f"{key}: expected a function of fkd that gives faces, found {target}")
