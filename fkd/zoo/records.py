"""Results that last: one small JSON file for each run that was scored, from which the table is made."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fkd.errors import UserError
from fkd.run import write_json

BOXES = ("keypoints", "detector")
"""The kinds of boxes that each net is scored with."""


@dataclass(frozen=True)
class Record:
    """A training, what its net reaches and what it costs.

    Attributes:
        model: the config's name of the network.
        recipe: in words, the same for all seeds and splits.
        data: the config's name of the set.
        split: of the set.
        seed: of the training.
        commands: that made it, the first one first.
        date: when the last training began, ISO.
        environment: `fkd.environment.environment` of the last training; None if it was not kept.
        minutes: that the trainings took; None if that is unknown.
        parameters: of the net.
        multiply_adds: of the net for one face.
        ms: "torch" and "ONNX" -> milliseconds for one face on one thread, medians.
        mean_shape_nme: of the mean face on the test faces in true boxes, percent inter-ocular.
        best: of the epoch that was kept: "epoch", "val/loss" and "val/nme".
        warnings: signs that the training failed.
        scores: kind of boxes -> content of `metrics.json`, without that of each keypoint.
        curve: logged name -> values by epoch, None where there is none; empty if it was not kept.
    """

    model: str
    recipe: str
    data: str
    split: str
    seed: int
    commands: Sequence[str]
    date: str
    environment: Mapping[str, Any] | None
    minutes: float | None
    parameters: int
    multiply_adds: int
    ms: Mapping[str, float]
    mean_shape_nme: float | None
    best: Mapping[str, float]
    warnings: Sequence[str]
    scores: Mapping[str, Mapping[str, Any]]
    curve: Mapping[str, Sequence[float | None]]

    @property
    def name(self) -> str:
        """Of its file; a training of the same recipe, split and seed that comes later takes its place."""
        text = f"{self.model} {self.recipe} {self.data} {self.split} seed {self.seed}"
        return re.sub(r"[^A-Za-z0-9.=]+", "_", text).strip("_") + ".json"

    def write(self, folder: Path) -> Path:
        """Writes the file, and the folder if there is none."""
        path = folder / self.name
        write_json(path, asdict(self))
        return path


def read(folder: Path, data: str) -> list[Record]:
    """The records of a set in a folder, by name.

    Raises:
        UserError: there are none, or a file is no record.
    """
    records = [_read(path) for path in sorted(folder.glob("*.json"))]
    if not (found := [record for record in records if record.data == data]):
        raise UserError(
            f"results={folder}: expected records of nets trained with data={data}, found none; runs=DIR makes some"
        )
    return found


def _read(path: Path) -> Record:
    try:
        return Record(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path}: expected a record as scripts/zoo.py writes it, found another file ({why})") from error
