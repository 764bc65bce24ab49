"""The sweeper as a plugin of Hydra. It imports the plugin for every run, so Optuna is imported by a sweep only."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fkd.config import checks
from fkd.errors import UserError, printable
from fkd.io.atomic import whole_file
from fkd.library_internals.hydra import parse

log = logging.getLogger(__name__)


class TpeSweeper(Sweeper):
    """Launches jobs with the values that an Optuna study suggests, and reports their results to the study.

    The result of a job is read from `result.json` in its folder, whose name is `<number>` or starts with `<number>_`.

    Args:
        n_trials: number of jobs, of all processes that work on the sweep.
        n_jobs: number of jobs that are launched at once; the launcher decides how many of them run in parallel.
        seed: seed of the suggested values.
        sampler: config of an Optuna sampler, without its `seed`.
        study_name: name of the study in its storage.
        storage: URL of the storage.
        params: key -> values to try, as on the command line, which overrides them.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        seed: int,
        sampler: DictConfig,
        study_name: str,
        storage: str,
        params: Mapping[str, Any] | None,
    ) -> None:
        self.n_trials, self.n_jobs, self.seed, self.sampler = n_trials, n_jobs, seed, sampler
        self.study_name, self.storage, self.params = study_name, str(storage), dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Launch trials until there are `n_trials`; those that another process left unfinished come first.

        Raises:
            UserError: Optuna is missing, nothing varies, the storage cannot be used, or it holds the study of another
                sweep.
        """
        assert self.config is not None
        assert self.hydra_context is not None
        for key, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0)):
            checks.whole(self.config, f"hydra.sweeper.{key}", least=least)
        try:
            from hydra_plugins.fkd_tpe_sweeper import _space, _study, _summary
        except ModuleNotFoundError as error:
            raise UserError(
                f"hydra/sweeper=tpe: expected Optuna, found no module {error.name}; pip install 'fkd[sweep]'"
            ) from None

        presets = [f"{key}={value}" for key, value in self.params.items()]
        fixed, space = _space.split(parse([*presets, *arguments], self.hydra_context.config_loader))
        self.validate_batch_is_legal([[*fixed, *chosen] for chosen in _space.every_choice(space)])
        objective = str(OmegaConf.select(self.config, "optimized_metric", default="objective"))
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        with _study.opened(folder, self.storage, self.study_name, fixed, space) as study:
            with whole_file(folder / "multirun.yaml") as file:  # other processes may be reading it
                file.write(OmegaConf.to_yaml(self.config).encode())
            while batch := study.claim(self.n_jobs, self.n_trials, self.sampler, self.seed):
                jobs = [[*fixed, *_space.overrides(trial.params, space)] for trial in batch]
                try:
                    self.launcher.launch(jobs, initial_job_idx=batch[0].number)
                except Exception as error:  # such as a job that was killed since memory was short
                    if not any(study.folder_of(trial.number) for trial in batch):
                        raise
                    log.warning(printable(f"the launcher lost a job: {error}"))
                for trial in batch:
                    study.tell(trial.number)
                    _summary.log_trial(study, trial.number, objective)
            _summary.log_sweep(study, fixed, objective)
