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
"""Keys of a data set whose values are names of folders and files."""


@dataclass(frozen=True)
class Overlay:
    """One face with what one run found.

    Attributes:
        image: JPEG as a data URI.
        caption: its NME, or that it was missed.
    """

    image: str
    caption: str


@dataclass(frozen=True)
class Row:
    """One face with what each run found.

    Attributes:
        name: of the face: its subject and image.
        cells: one overlay for each run, in order.
    """

    name: str
    cells: tuple[Overlay, ...]


def worst(runs: Sequence[FaceErrors], source: Path, count: int) -> list[Row]:
    """The `count` faces of the highest error, on average over the runs, highest first; none that all of them missed.

    Args:
        runs: the test faces of each.
        source: folder of a run, whose config says where the images are.
        count: how many faces.

    Raises:
        UserError: the images cannot be had here, in one line.
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
            raise UserError(f"{key}: the data of {source} no longer hold this test face")
        photo = faces.images[int(faces.table.images[place[key]])]
        cells = [_overlay(photo, *points[i], run, int(rows[i][face])) for i, run in enumerate(runs)]
        found.append(Row(key, tuple(cells)))
    return found


def _overlay(
    photo: Image, preds: Points, target: Points, visible: npt.NDArray[np.bool_], run: FaceErrors, row: int
) -> Overlay:
    """The same window for all runs, whatever window each net was shown."""
    crop = Crop.from_box(adjust(square_around(target[row]), _WIDER), _SIZE)
    points = crop.points(preds[row]), crop.points(target[row])
    image = draw.face(crop.image(photo), *points, visible=visible[row], zoom=_ZOOM)
    caption = "missed" if run.missed[row] else f"{run.nme[row]:.1f} %"
    return Overlay(images.data_uri(image, _QUALITY), caption)


def _faces(run_dir: Path) -> Faces:
    """The data set of a run, built anew from its config.

    A config may be untrusted: nothing is called but sources of `fkd.data` and what they read files with, with
    plain values. Names of folders are those that the run saw, and none is made that is not there.
    """
    try:
        config = OmegaConf.load(run_dir / ".hydra" / "config.yaml")
        start = OmegaConf.select(OmegaConf.load(run_dir / ".hydra" / "hydra.yaml"), "hydra.runtime.cwd")
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
    """A part of a source's config, if it calls nothing but sources; its folders and files are those seen from `start`.

    Raises:
        UserError: it calls something else, would be resolved into more config, or its root is not here.
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


_SOURCES = ("fkd.data.", "fkd.synthetic.")
"""Packages whose functions give faces."""


def _check_source(target: Any, key: str = "data.source") -> None:
    """Makes sure that this is the name of one of fkd's own functions that give faces, or of a `FileSet`.

    What its modules have merely imported from elsewhere, as numpy or os, is neither.
    """
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module.startswith(_SOURCES) else None
    except (ImportError, AttributeError):
        found = None
    gives_faces = inspect.isfunction(found) and inspect.signature(found, eval_str=True).return_annotation is Faces
    if not (found is FileSet or (gives_faces and found.__module__.startswith(_SOURCES))):
        raise UserError(f"{key}: expected a function of fkd that gives faces, found {target}")
