"""Runs as their folders tell of them, whatever became of them."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fkd.comparison.settings import chosen, completed, told_apart
from fkd.errors import UserError
from fkd.io.atomic import is_locked
from fkd.training.runs import metrics_csv

TRAINED_ON = "subjects_in_training"
"""Key of `metrics.json`: on how many of the tested subjects the net was trained; None where that is not known."""

_NOT_RUNS = ("checkpoints", "tensorboard")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        path: its folder.
        name: the same, below the folder that is compared.
        status: done; stopped, failed (with a reason); running; killed (it says running, but no process holds its
            lock); broken (what it left cannot be read).
        reason: one line, "" for done.
        settings: dotted key -> value, what was chosen.
        epoch: of the lowest val/loss, the first is 1; None if none was validated.
        val_nme: of that epoch, percent inter-ocular.
        test: content of `metrics.json`, {} if it was not tested.
        parameters: of the net.
        images_per_s: in training.
        seconds: from start to end.
        started: ISO time, "" if it is not known.
        mean_shape_nme: what the mean face reaches on the same test faces, percent inter-ocular.
        objective: what a sweep minimises, the value of `optimized_metric`.
        recipe: digits that repetitions with other seeds share; "" where a run of an older version left none.
        faces: "train", "val" and "test" -> digits that runs on the very same faces share; empty likewise.
        warnings: signs that its training failed, a line each.
        overrides: of its command line.
        ckpt_path: of another run, from which it trained on, if it did.
        environment: where it ran, see `fkd.training.runs.environment`; None where a run of an older version left none.
    """

    path: Path
    name: str
    status: str
    reason: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    val_nme: float | None = None
    val_loss: float | None = None
    test: Mapping[str, Any] = field(default_factory=dict)
    parameters: float | None = None
    images_per_s: float | None = None
    seconds: float | None = None
    started: str = ""
    mean_shape_nme: float | None = None
    objective: float | None = None
    recipe: str = ""
    faces: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    overrides: Sequence[str] = ()
    ckpt_path: str | None = None
    environment: Mapping[str, Any] | None = None

    def test_score(self, key: str) -> float | None:
        """A number of `test`, None if it has none."""
        return number(self.test.get(key))

    @property
    def is_debug(self) -> bool:
        """Whether it was run with `debug=...`: its figures are no measure of a recipe."""
        return any(override.startswith("debug=") and override != "debug=null" for override in self.overrides)

    @property
    def is_begun(self) -> bool:
        """Whether it trained at all; a command with a mistake ends before that."""
        return self.status != "failed" or self.val_nme is not None

    @property
    def is_detected(self) -> bool:
        """Whether a detector had to find the test faces, and may have missed some."""
        return self.test.get("boxes") == "detector"

    @property
    def test_nme(self) -> float | None:
        """Percent inter-ocular on the test faces; where a detector found them, a missed one counts 100."""
        return self.test_score("nme_all" if self.is_detected else "nme_interocular")


def read(places: Sequence[Path]) -> list[Run]:
    """All runs in and below the folders, in the order of their names.

    Raises:
        UserError: there is none.
    """
    paths = {path.resolve(): path for place in places for path in _find(place)}
    if not paths:
        where = ", ".join(map(str, places[:3])) + (", ..." if len(places) > 3 else "")
        raise UserError(f"runs={where}: expected runs of scripts/train.py (folders with a result.json), found none")
    root = Path(os.path.commonpath(paths if len(paths) > 1 else [path.parent for path in paths]))
    runs = [_read(path, resolved.relative_to(root).as_posix()) for resolved, path in sorted(paths.items())]
    recipes = [run.recipe for run in runs]
    full = completed([run.settings for run in runs], [run.path for run in runs], recipes)
    named = {key for run in runs if run.status == "done" for key in run.settings}  # a failed command's are its own
    full = [
        {key: value for key, value in one.items() if key in named} if run.status == "done" else one
        for run, one in zip(runs, full, strict=True)
    ]
    full = told_apart(full, recipes)
    return [replace(run, settings=settings) for run, settings in zip(runs, full, strict=True)]


def number(value: Any) -> float | None:
    """A finite number as it is, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []


def _find(place: Path) -> Iterator[Path]:
    for root, subfolders, files in os.walk(place):
        path = Path(root)
        if "result.json" in files or (".hydra" in subfolders and _is_training(path)):
            yield path
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name not in _NOT_RUNS]


def _is_training(path: Path) -> bool:
    """Whether a folder without a result is one of a training: evaluations leave a `.hydra`, too."""
    try:
        return "\ntrainer:\n" in (path / ".hydra" / "config.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _read(path: Path, name: str) -> Run:
    try:
        content = json.loads((path / "result.json").read_bytes())
    except FileNotFoundError:
        if is_locked(path / ".lock"):
            return Run(path, name, "running", "just started")
        return Run(path, name, "broken", "no result.json: it ended before there was one")
    except (OSError, ValueError, RecursionError) as error:
        return Run(path, name, "broken", f"result.json cannot be read ({' '.join(str(error).split())})")
    if not isinstance(content, dict) or not isinstance(content.get("status"), str):
        return Run(path, name, "broken", "result.json: expected an object with a status, found something else")
    settings = chosen(content)
    status, _, reason = (part.strip() for part in content["status"].partition(":"))
    best: Mapping[str, Any] = content["best"] if isinstance(content.get("best"), dict) else {}
    if status != "done" and number(best.get("val/nme")) is None:
        curves = metrics_csv.read(path)
        best = metrics_csv.best_epoch(curves)
        if status == "running":
            reached = f"epoch {metrics_csv.last_epoch(curves)} of {settings.get('trainer.max_epochs', '?')}"
            status, reason = ("running", reached) if is_locked(path / ".lock") else ("killed", f"after {reached}")
    if status not in ("done", "stopped", "failed", "running", "killed"):
        status, reason = "broken", f"result.json: status={content['status']!r} is none that a run has"
    epoch = number(best.get("epoch"))
    faces = content["faces"] if isinstance(content.get("faces"), dict) else {}
    return Run(
        path=path,
        name=name,
        status=status,
        reason=reason,
        settings=settings,
        epoch=None if epoch is None else int(epoch),
        val_nme=number(best.get("val/nme")),
        val_loss=number(best.get("val/loss")),
        test=content["test"] if isinstance(content.get("test"), dict) else {},
        parameters=number(content.get("parameters")),
        images_per_s=number(content.get("train_images_per_s")),
        seconds=number(content.get("seconds")),
        started=str(content.get("started") or ""),
        mean_shape_nme=number(content.get("mean_shape_nme")),
        objective=number(content.get("objective")),
        recipe=str(content.get("recipe") or ""),
        faces={split: str(digits) for split, digits in faces.items()},
        warnings=_texts(content.get("warnings")),
        overrides=_texts(content.get("overrides")),
        ckpt_path=None if content.get("ckpt_path") is None else str(content["ckpt_path"]),
        environment=content["environment"] if isinstance(content.get("environment"), dict) else None,
    )
