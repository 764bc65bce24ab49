"""Read the results of runs from their folders, whatever their status."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fkd.comparison import evaluations
from fkd.comparison.evaluations import EVALUATION
from fkd.comparison.settings import bounded, canonical, chosen, differing, selected, shown
from fkd.errors import UserError, short
from fkd.io.atomic import is_locked
from fkd.training.runs import metrics_csv
from fkd.training.runs.reading import number, opened, read_json, read_yaml

TRAINED_ON = "subjects_in_training"
"""Key of `metrics.json`: the number of tested subjects that the net was trained on; None if it is unknown."""

_NOT_RUNS = ("checkpoints", "tensorboard")
_MOST_TEXTS = 300
"""Warnings, or overrides, of a run."""
_SHOWN_HASH = 6
"""Characters of a recipe's hash that are shown."""


@dataclass(frozen=True)
class Run:
    """One training, or one evaluation of a net.

    Attributes:
        path: its folder.
        name: the folder's path relative to the folder that is compared.
        status: done; stopped or failed (with a reason); running; killed (result.json says running, but no process
            holds the lock); broken (its files cannot be read).
        reason: one line, "" for done.
        settings: dotted key -> chosen value.
        epoch: the epoch of the lowest val/loss, counted from 1; None before the first validation.
        val_nme: of that epoch, percent inter-ocular.
        val_loss: of that epoch.
        test: content of `metrics.json`, {} if it was not tested.
        parameters: number of the net's parameters.
        images_per_s: training images per second.
        seconds: from start to end.
        started: ISO time, "" if it is unknown.
        mean_shape_nme: of the mean shape on the same test faces, percent inter-ocular.
        objective: the value of `optimized_metric`, which a sweep minimises.
        recipe: hash of the config without the seed; "" for a run of a version that wrote none.
        faces: "train", "val" and "test" -> hash of the split's faces; empty for a run of a version that wrote none.
        warnings: signs of a failed training, a line each.
        overrides: of its command line.
        ckpt_path: the checkpoint of another run that it resumed from, if any.
        environment: see `fkd.training.runs.environment`; None for a run of a version that wrote none.
        is_evaluation: whether these are the scores of a net on some data set, not a training.
        config: of an evaluation the config of its net's training, which has the settings that others name.
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
    is_evaluation: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def test_score(self, key: str) -> float | None:
        """A number of `test`, None if it has none."""
        return number(self.test.get(key))

    @property
    def is_debug(self) -> bool:
        """Whether it was run with `debug=...`, so that its scores do not measure the recipe."""
        return any(override.startswith("debug=") and override != "debug=null" for override in self.overrides)

    @property
    def has_trained(self) -> bool:
        """Whether it trained at all; a command with a mistake fails before that."""
        return self.status != "failed" or self.val_nme is not None

    @property
    def is_detected(self) -> bool:
        """Whether a detector searched for the test faces and may have missed some."""
        return self.test.get("boxes") == "detector"

    @property
    def test_nme(self) -> float | None:
        """Percent inter-ocular on the test faces; with a detector's boxes, a missed face counts 100."""
        return self.test_score("nme_all" if self.is_detected else "nme_interocular")


def read(places: Sequence[Path]) -> list[Run]:
    """All runs in and below the folders, in the order of their names.

    Raises:
        UserError: there is none.
    """
    found = {path.resolve(): (path, is_evaluation) for place in places for path, is_evaluation in _find(place)}
    # Evaluations are compared where there is no training: those that lie beside trainings mostly score these.
    only = all(is_evaluation for _, is_evaluation in found.values())
    paths = {resolved: path for resolved, (path, is_evaluation) in found.items() if is_evaluation == only}
    if not paths:
        where = ", ".join(map(str, places[:3])) + (", ..." if len(places) > 3 else "")
        raise UserError(f"runs={where}: expected runs of fkd train or fkd evaluate, found none")
    root = Path(os.path.commonpath(paths if len(paths) > 1 else [path.parent for path in paths]))
    runs = [_read(path, resolved.relative_to(root).as_posix(), only) for resolved, path in sorted(paths.items())]
    return _with_hashes(_completed(runs))


def _completed(runs: Sequence[Run]) -> list[Run]:
    """The runs with the settings that only other runs name, taken from their own configs.

    Otherwise a run with ``data.split=official`` would seem to differ from a run that has it by default. A setting that
    the config lacks, too, is None where the run has a recipe hash, since such a run names every chosen group; in other
    runs it stays unknown. Runs that are done get no settings that only unfinished runs name.
    """
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    of_done = {key for run in runs if run.status == "done" for key in run.settings}
    full = []
    for run in runs:
        wanted = [key for key in keys if key not in run.settings and (key in of_done or run.status != "done")]
        config = run.config
        if not run.is_evaluation and run.settings and wanted:
            config = read_yaml(run.path, ".hydra/config.yaml")
        added = dict.fromkeys(wanted) if run.recipe and (config or not run.is_evaluation) else {}
        added |= {key: value for key in wanted for value in selected(config, key)}
        full.append(replace(run, settings={**run.settings, **added}))
    return full


def _with_hashes(runs: Sequence[Run]) -> list[Run]:
    """The runs, with the start of the recipe hash as a setting where runs of several recipes have equal settings.

    A chosen group may change values that are not among the settings, and so may an edited file.
    """
    keys = [key for key in differing([run.settings for run in runs]) if key != "seed"]
    values = [tuple(canonical(run.settings.get(key)) for key in keys) for run in runs]
    recipes = defaultdict[tuple[str, ...], set[str]](set)
    for run, value in zip(runs, values, strict=True):
        if run.settings:
            recipes[value].add(run.recipe)
    return [
        replace(run, settings={**run.settings, "recipe": run.recipe[:_SHOWN_HASH] or None})
        if len(recipes[value]) > 1
        else run
        for run, value in zip(runs, values, strict=True)
    ]


def _find(place: Path) -> Iterator[tuple[Path, bool]]:
    """Folders of trainings and evaluations, and whether each is an evaluation."""
    for root, subfolders, files in os.walk(place):
        path = Path(root)
        if "result.json" in files or (EVALUATION not in files and ".hydra" in subfolders and _is_training(path)):
            yield path, False
        elif EVALUATION in files:
            yield path, True
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name not in _NOT_RUNS]


def _is_training(path: Path) -> bool:
    """Whether a folder without a result belongs to a training: evaluations leave a `.hydra`, too."""
    try:
        with opened(path, ".hydra/config.yaml", 1_000_000) as file:
            return b"\ntrainer:\n" in file.read(1_000_000)
    except (OSError, ValueError):
        return False


def _read(path: Path, name: str, is_evaluation: bool) -> Run:
    file, name = EVALUATION if is_evaluation else "result.json", shown(name)
    try:
        content = evaluations.read(path) if is_evaluation else read_json(path, file)
        return _run(path, name, is_evaluation, content)
    except FileNotFoundError:
        if is_locked(path / ".lock"):
            return Run(path, name, "running", "just started")
        return Run(path, name, "broken", f"no {file}: the run ended before writing one")
    except (OSError, ValueError, RecursionError) as error:
        return Run(path, name, "broken", shown(f"{file} cannot be read ({' '.join(str(error).split())})"))


def _run(path: Path, name: str, is_evaluation: bool, content: Mapping[str, Any]) -> Run:
    """Of the content of its file.

    Raises:
        OSError, ValueError, RecursionError: it has too much of something, or another file cannot be read.
    """
    if not isinstance(content.get("status"), str):
        raise ValueError(f"status: expected text, found {short(content.get('status'))}")

    def mapping(key: str) -> dict[str, Any]:
        return bounded(content[key]) if isinstance(content.get(key), dict) else {}

    def texts(key: str) -> list[str]:
        return [shown(value) for value in content[key][:_MOST_TEXTS]] if isinstance(content.get(key), list) else []

    settings = chosen(content)
    status, _, reason = (part.strip() for part in content["status"].partition(":"))
    best: Mapping[str, Any] = mapping("best")
    if status != "done" and number(best.get("val/nme")) is None:
        curves = metrics_csv.read(path)
        best = metrics_csv.best_epoch(curves)
        if status == "running":
            reached = f"epoch {metrics_csv.last_epoch(curves)} of {settings.get('trainer.max_epochs', '?')}"
            status, reason = ("running", reached) if is_locked(path / ".lock") else ("killed", f"after {reached}")
    if status not in ("done", "stopped", "failed", "running", "killed"):
        status, reason = "broken", f"result.json: status={content['status']!r} is unknown"
    epoch = number(best.get("epoch"))
    tested = mapping("test")
    test = {key: value for key, value in tested.items() if not isinstance(value, dict | list)}
    if isinstance(parts := tested.get("per_part"), dict):
        test["per_part"] = bounded(parts)
    return Run(
        path=path,
        name=name,
        status=status,
        reason=shown(reason),
        settings=settings,
        epoch=None if epoch is None else int(epoch),
        val_nme=number(best.get("val/nme")),
        val_loss=number(best.get("val/loss")),
        test=test,
        parameters=number(content.get("parameters")),
        images_per_s=number(content.get("train_images_per_s")),
        seconds=number(content.get("seconds")),
        started=shown(content.get("started") or ""),
        mean_shape_nme=number(content.get("mean_shape_nme")),
        objective=number(content.get("objective")),
        recipe=shown(content.get("recipe") or ""),
        faces={split: str(value) for split, value in mapping("faces").items()},
        warnings=texts("warnings"),
        overrides=texts("overrides"),
        ckpt_path=None if content.get("ckpt_path") is None else str(content["ckpt_path"]),
        environment=mapping("environment") or None,
        is_evaluation=is_evaluation,
        config=content["config"] if is_evaluation and isinstance(content.get("config"), dict) else {},
    )
