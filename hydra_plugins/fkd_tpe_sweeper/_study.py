"""The study of a sweep, which several processes may share, at once or one after the other."""

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from omegaconf import DictConfig
from optuna.distributions import distribution_to_json
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from fkd.config.instantiate import instantiate
from fkd.errors import UserError, printable, short
from fkd.io.atomic import is_locked, locked
from fkd.library_internals.optuna import running_trial
from fkd.training.optuna_storage import named, open_storage, reached
from fkd.training.runs.command_line import is_learned
from fkd.training.runs.reading import number as finite
from fkd.training.runs.reading import read_json
from hydra_plugins.fkd_tpe_sweeper._space import Space

_PARENT, _RECIPE, _STATUS = "parent", "recipe", "status"


@dataclass(frozen=True)
class SharedStudy:
    """An Optuna study with the folder of its jobs.

    Args:
        folder: folder of the sweep.
        study: minimises the `objective` of the jobs.
        space: the search space.
        parent: id of this process among those that launch trials; it holds the lock with this id.
    """

    folder: Path
    study: optuna.Study
    space: Space
    parent: str

    def claim(self, n_jobs: int, n_trials: int, sampler: DictConfig, seed: int) -> Sequence[BaseTrial]:
        """The trials to launch next, with successive numbers; empty if all are done or belong to other processes.

        Unfinished or failed trials of processes that have ended come before new ones. Each trial has its own seed, so
        that a sweep tries the same values with and without an interruption.
        """
        with locked(self.folder / ".study.lock", wait=True):
            trials = self.study.get_trials(deepcopy=False)
            if orphans := [trial for trial in trials if self._is_orphan(trial)]:
                batch = [trial for i, trial in enumerate(orphans[:n_jobs]) if trial.number == orphans[0].number + i]
                for orphan in batch:
                    trial = running_trial(self.study, orphan)
                    trial.set_user_attr(_PARENT, self.parent)
                    trial.set_user_attr(_STATUS, None)
                return batch
            started = sum(set(trial.params) == set(self.space) for trial in trials)
            seeds = [[seed, len(trials) + i] for i in range(min(n_jobs, n_trials - started))]
            return [self._ask(sampler, int(np.random.SeedSequence(pair).generate_state(1)[0])) for pair in seeds]

    def tell(self, number: int) -> None:
        """Report the `result.json` of a job to the study.

        A job that was interrupted or failed, or that another process trains, stays unfinished, so that a later command
        can resume it. A diverged job counts as pruned, since it has no finite value.
        """
        result = self.result_of(number)
        status = printable(str(result.get("status", "failed: no result.json that can be read")))
        if status.startswith("stopped: interrupted") or self._trains(number):
            return
        if status == "running":
            status = "failed: its process was killed"
        objective = result.get("objective")
        if status == "done" and finite(objective) is None and objective != math.inf:
            status = (
                f"failed: {self.folder_of(number)}/result.json: expected a number as objective of a run that is done, "
                f"found {short(objective)}; remove the folder, and the trial is trained again"
            )
        trial = next(trial for trial in self.study.get_trials(deepcopy=False) if trial.number == number)
        if trial.state.is_finished():
            return
        running_trial(self.study, trial).set_user_attr(_STATUS, status)
        if status == "done":
            self.study.tell(number, float(result["objective"]))
        elif status.startswith("stopped"):
            self.study.tell(number, state=TrialState.PRUNED)

    def status(self, trial: FrozenTrial) -> str:
        """The status of its job, from the study."""
        mine = trial.user_attrs.get(_PARENT) == self.parent
        return str(trial.user_attrs.get(_STATUS) or ("interrupted" if mine else "running in another process"))

    def folder_of(self, number: int) -> Path | None:
        """The folder of a trial's job, None before it has started."""
        return next((path for path in self.folder.iterdir() if path.name.split("_")[0] == str(number)), None)

    def result_of(self, number: int) -> dict[str, Any]:
        """The `result.json` of its job; empty without one."""
        folder = self.folder_of(number)
        try:
            return read_json(folder, "result.json") if folder else {}
        except (OSError, ValueError, RecursionError):
            return {}

    def _ask(self, sampler: DictConfig, seed: int) -> BaseTrial:
        self.study.sampler = instantiate(sampler, "hydra.sweeper.sampler", seed=seed)
        trial = self.study.ask(dict(self.space))
        trial.set_user_attr(_PARENT, self.parent)
        return trial

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether a trial is unfinished, and both the process that launched it and the one of its job have ended."""
        if trial.state != TrialState.RUNNING:
            return False
        if set(trial.params) != set(self.space):  # its process was killed while it sampled the values
            self.study.tell(trial.number, state=TrialState.FAIL)
            return False
        parent = trial.user_attrs.get(_PARENT)
        if parent == self.parent or (parent is not None and is_locked(_lock(self.folder, parent))):
            return False
        return not self._trains(trial.number)

    def _trains(self, number: int) -> bool:
        """Whether a process trains in the folder of a trial."""
        folder = self.folder_of(number)
        return folder is not None and is_locked(folder / ".lock")


def complete(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """Number -> value of the completed trials, in ascending order."""
    return {trial.number: float(trial.value) for trial in trials if trial.state == TrialState.COMPLETE}  # type: ignore[arg-type]


@contextmanager
def opened(folder: Path, storage: str, name: str, fixed: Sequence[str], space: Space) -> Iterator[SharedStudy]:
    """Create or load the study of a sweep; other processes see this one as a parent of trials until the block ends.

    Raises:
        UserError: the study belongs to another sweep or folder, or its storage cannot be used, also within the block.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parent = secrets.token_hex(4)
    lock = _lock(folder, parent)
    with ExitStack() as mine, reached(storage):
        try:
            with locked(folder / ".study.lock", wait=True):  # two processes cannot create the same tables
                for other in folder.glob(_lock(folder, "*").name):
                    if not is_locked(other):  # of a process that was killed
                        other.unlink(missing_ok=True)
                mine.enter_context(locked(lock, wait=True))
                study = optuna.create_study(
                    storage=open_storage(storage), study_name=name, direction="minimize", load_if_exists=True
                )
                _check_recipe(study, storage, fixed, space)
            shared = SharedStudy(folder, study, space, parent)
            _check_folder(shared, storage)
            yield shared
        finally:
            lock.unlink(missing_ok=True)


def _lock(folder: Path, parent: str) -> Path:
    return folder / f".parent_{parent}.lock"


def _check_recipe(study: optuna.Study, storage: str, fixed: Sequence[str], space: Space) -> None:
    given = dict(sorted(override.partition("=")[::2] for override in fixed))
    recipe = {key: value for key, value in given.items() if is_learned(key)}
    recipe |= {key: distribution_to_json(distribution) for key, distribution in space.items()}
    kept = study.user_attrs.get(_RECIPE)
    if kept is None:
        study.set_user_attr(_RECIPE, recipe)
    elif kept != recipe:
        key = next(key for key in [*kept, *recipe] if kept.get(key) != recipe.get(key))
        then, now = (f"{key}={values[key]}" if key in values else f"no {key}" for values in (kept, recipe))
        raise UserError(
            f"{named(storage)}: expected the command that started this study, with {then}, found {now}; "
            "give another folder, hydra.sweep.dir=DIR"
        )


def _check_folder(shared: SharedStudy, storage: str) -> None:
    """Refuse a study whose trials are in another folder; one database may hold many studies."""
    trials = shared.study.get_trials(deepcopy=False)
    if unknown := [trial.number for trial in trials if trial.state == TrialState.COMPLETE and trial.value is None]:
        raise UserError(
            f"{named(storage)}: expected a value of each complete trial, found none of trial {unknown[0]}; give "
            "hydra.sweeper.study_name=NAME for a new study"
        )
    done = complete(trials)
    if done and not any(shared.folder_of(number) for number in done):
        raise UserError(
            f"{named(storage)}: expected the folder of the {len(done)} trials of the study {shared.study.study_name}, "
            f"found none of them in {shared.folder}; give hydra.sweep.dir=DIR, or hydra.sweeper.study_name=NAME for a "
            "new study"
        )
