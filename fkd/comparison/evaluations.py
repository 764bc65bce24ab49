"""The scores of a net on a data set, in the folder of `fkd evaluate`: `evaluation.json` beside `metrics.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fkd import weights
from fkd.comparison.settings import chosen
from fkd.training.runs.reading import read_json, read_yaml
from fkd.training.runs.run_folder import write_json

EVALUATION = "evaluation.json"
"""File of what was scored: the net's recipe and config, its parameters, the detector and a hash of the faces."""


def write(
    folder: Path,
    ckpt: Path,
    flip: bool,
    faces: str,
    mean_shape_nme: float,
    parameters: int | None,
    detector: Mapping[str, Any] | None,
) -> None:
    """Write `evaluation.json`.

    Args:
        folder: of the evaluation.
        ckpt: file of the net.
        flip: whether predictions were averaged over mirror images.
        faces: hash of the scored faces.
        mean_shape_nme: of the mean shape on them, percent inter-ocular.
        parameters: number of the net's parameters; None if it is unknown.
        detector: plain config of the detector; None if boxes are around the true points.

    Raises:
        UserError: the file cannot be written.
    """
    run = training_of(ckpt)
    result = _result(run) if run is not None else {}
    settings, recipe = chosen(result) if run is not None else {"net": _name(ckpt)}, str(result.get("recipe") or "")
    if run is not None:
        settings["checkpoint"] = ckpt.stem
    if recipe:
        recipe += ("" if ckpt.stem == "best" else f"-{ckpt.stem}") + ("-flip" if flip else "")
    record = {
        "ckpt": str(ckpt.absolute()),
        "run": None if run is None else str(run),
        "settings": settings | {"flip": flip},
        "config": {} if run is None else read_yaml(run, ".hydra/config.yaml"),
        "recipe": recipe,
        "faces": {"test": faces},
        "mean_shape_nme": mean_shape_nme,
        "parameters": parameters,
        "detector": detector,
    }
    write_json(folder / EVALUATION, record)


def read(folder: Path) -> dict[str, Any]:
    """The content of an evaluation's files as a training's `result.json` would have it.

    Raises:
        OSError, ValueError, RecursionError: a file cannot be read.
    """
    scores = {"status": "done", "test": read_json(folder, "metrics.json")}
    return read_json(folder, EVALUATION) | scores


def training_of(ckpt: Path) -> Path | None:
    """The run folder that a checkpoint lies in, as `fkd train` writes it; None if it lies elsewhere."""
    folder = ckpt.absolute().parent
    return folder.parent if folder.name == "checkpoints" and _result(folder.parent) else None


def _name(ckpt: Path) -> str:
    """Of a file that lies in no run: its path, or e.g. `fkd/udacity.onnx` for one that comes with fkd."""
    return f"fkd/{ckpt.name}" if ckpt.absolute().parent == weights.checkpoint(None).parent else str(ckpt)


def _result(run: Path) -> Mapping[str, Any]:
    try:
        content = read_json(run, "result.json")
        return content if chosen(content) else {}
    except (OSError, ValueError, RecursionError):
        return {}
