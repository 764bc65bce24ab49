"""A job of a sweep that is clearly worse than the others need not be trained to its end."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_warn

from fkd.errors import Pruned

if TYPE_CHECKING:  # an extra that only sweeps need
    from optuna.pruners import BasePruner


class Pruning(Callback):
    """Reports `val/nme` of each epoch to a study and ends training with `Pruned` when its pruner says so.

    Args:
        storage: where the study is kept, as `fkd.study.open_storage` takes it.
        study: its name.
        trial: the number of this job's trial, or None for a job that is run on its own and ends with its last epoch.
        pruner: compares the epochs of this trial with those of the others. Epoch e of a job is step e - 1 of its trial,
            so that a pruner's warm-up of n steps is one of n epochs.
    """

    def __init__(self, storage: str, study: str, trial: int | None, pruner: "BasePruner") -> None:
        self.storage, self.study, self.trial, self.pruner = storage, study, trial, pruner

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or self.trial is None:
            return
        epoch, value = trainer.current_epoch, float(trainer.callback_metrics["val/nme"])
        is_worse = trainer.is_global_zero and self._is_worse(epoch, value)
        if trainer.strategy.reduce_boolean_decision(is_worse, all=False):  # all processes leave together
            raise Pruned(
                f"pruned at epoch {epoch + 1}: val/nme {value:.2f} %, other trials of the sweep were better by then"
            )

    def _is_worse(self, epoch: int, value: float) -> bool:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        from fkd.study import open_storage

        try:
            study = optuna.load_study(study_name=self.study, storage=open_storage(self.storage), pruner=self.pruner)
            kept = next(trial for trial in study.get_trials(deepcopy=False) if trial.number == self.trial)
            if kept.state.is_finished():  # the job is run once more, on its own
                return False
            trial = optuna.trial.Trial(study, kept._trial_id)
            if epoch not in kept.intermediate_values:  # a job that was cut may come to an epoch twice
                trial.report(value, epoch)
            return trial.should_prune()
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            rank_zero_warn(
                f"epoch {epoch + 1} is not compared with other trials: {self.storage}: {type(error).__name__}"
            )
            return False
