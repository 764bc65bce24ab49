"""A job of a sweep that is clearly worse than the others need not be trained to its end."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_warn

from fkd.errors import Pruned, UserError

if TYPE_CHECKING:  # an extra that only sweeps need
    from optuna.pruners import BasePruner


class Pruning(Callback):
    """Reports `val/nme` of each epoch to a study and ends training with `Pruned` when its pruner says so.

    The last epoch is reported only: the training has been paid for. An epoch at which the study cannot be reached is
    not compared, and training goes on.

    Args:
        storage: where the study is kept, as `fkd.training.optuna_storage.open_storage` takes it.
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
        is_worse = trainer.is_global_zero and self._is_worse(epoch, value) and not _is_last(trainer)
        if trainer.strategy.reduce_boolean_decision(is_worse, all=False):  # all processes leave together
            raise Pruned(
                f"pruned at epoch {epoch + 1}: val/nme {value:.2f} %, other trials of the sweep were better by then"
            )

    def _is_worse(self, epoch: int, value: float) -> bool:
        from fkd.training.optuna_storage import reached

        try:
            with reached(self.storage):
                return self._report(epoch, value)
        except UserError as error:
            rank_zero_warn(f"epoch {epoch + 1} is not compared with other trials: {error}")
            return False

    def _report(self, epoch: int, value: float) -> bool:
        """Whether the trial should end, now that its study knows the epoch's value."""
        import optuna

        from fkd.library_internals.optuna import running_trial
        from fkd.training.optuna_storage import named, open_storage

        try:
            study = optuna.load_study(study_name=self.study, storage=open_storage(self.storage), pruner=self.pruner)
        except KeyError:
            raise UserError(f"{named(self.storage)}: expected the study {self.study}, found none") from None
        kept = next((trial for trial in study.get_trials(deepcopy=False) if trial.number == self.trial), None)
        if kept is None or kept.state.is_finished():  # the job is run once more, on its own
            return False
        trial = running_trial(study, kept)
        if epoch not in kept.intermediate_values:  # a job that was cut may come to an epoch twice
            trial.report(value, epoch)
        return trial.should_prune()


def _is_last(trainer: pl.Trainer) -> bool:
    """Whether training ends with this epoch anyway."""
    last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
    return last_epoch or trainer.global_step == trainer.max_steps or trainer.should_stop
