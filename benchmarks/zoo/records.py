"""Records of scored runs: one small JSON file each, from which the table is made."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fkd.errors import UserError
from fkd.io.atomic import whole_file

BOXES = ("keypoints", "detector")
"""The kinds of boxes with which each net is scored."""

_SPLIT_OR_SEED = re.compile(r" (data\.split|seed)=\S+")
_LONGEST = 100
"""Characters of a recipe in the name of a file."""


@dataclass(frozen=True)
class Record:
    """A training with the scores and costs of its net.

    Attributes:
        model: the config's name of the network.
        recipe: a description, the same for all seeds and splits.
        data: the config's name of the data set.
        split: of the data set.
        seed: of the training.
        commands: of the trainings, in order.
        date: start of the last training, ISO.
        environment: of the last training (`fkd.training.runs.environment`); None if it is unknown.
        measured: environment and date of the scoring; None if they are unknown.
        minutes: duration of the trainings; None if it is unknown.
        parameters: of the net.
        multiply_adds: of the net for one face.
        ms: "torch" and "ONNX" -> milliseconds for one face on one thread, medians.
        mean_shape_nme: of the mean shape on the test faces with boxes=keypoints, percent inter-ocular.
        best: "epoch", "val/loss" and "val/nme" of the best epoch.
        warnings: signs that the training failed.
        scores: kind of boxes -> content of `metrics.json`, without `per_keypoint`.
        curve: logged name -> values by epoch, None if there is none; empty if it is unknown.
    """

    model: str
    recipe: str
    data: str
    split: str
    seed: int
    commands: Sequence[str]
    date: str
    environment: Mapping[str, Any] | None
    measured: Mapping[str, Any] | None
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
    def kind(self) -> str:
        """A text that is equal for trainings that differ in split and seed only."""
        commands = [" ".join(sorted(_SPLIT_OR_SEED.sub("", command).split())) for command in self.commands]
        return "\n".join([self.model, self.recipe, *commands])

    @property
    def name(self) -> str:
        """The name of its file: the training, and a hash of its commands."""
        text = re.sub(r"[^A-Za-z0-9.=]+", "_", f"{self.model} {self.recipe}")[:_LONGEST].strip("_")
        digest = hashlib.sha256("\n".join([*self.commands, self.data]).encode()).hexdigest()[:6]
        return f"{text}_{self.split}_{self.seed}_{digest}.json"

    def write(self, folder: Path) -> bool:
        """Write the file unless a newer one of the same training exists; return whether it was written."""
        path = folder / self.name
        if path.exists() and _read(path).date > self.date:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(json.dumps(asdict(self), indent=1).encode() + b"\n")
        return True


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
