"""Ends the jobs of a sweep that are clearly worse than the others."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_warn

from fkd.errors import Pruned, UserError

if TYPE_CHECKING:  # an extra that only sweeps need
    from optuna.pruners import BasePruner


class Pruning(Callback):
    """Reports `val/nme` of each epoch to an Optuna study and ends training with `Pruned` if the pruner decides so.

    The last epoch is reported, but never pruned. If the study cannot be reached, training continues with a warning.

    Args:
        storage: URL of the study's database, as for `fkd.training.optuna_storage.open_storage`.
        study: name of the study.
        trial: number of this job's trial, or None for a job outside of a sweep, which is never pruned.
        pruner: compares the epochs of this trial with those of the others. Epoch e of a job is step e - 1 of its trial,
            so that a warm-up of n steps takes n epochs.
    """

    def __init__(self, storage: str, study: str, trial: int | None, pruner: "BasePruner") -> None:
        self.storage, self.study, self.trial, self.pruner = storage, study, trial, pruner

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or self.trial is None:
            return
        epoch, value = trainer.current_epoch, float(trainer.callback_metrics["val/nme"])
        is_worse = trainer.is_global_zero and self._is_worse(epoch, value) and not _is_last(trainer)
        if trainer.strategy.reduce_boolean_decision(is_worse, all=False):  # all ranks stop together
            raise Pruned(
                f"pruned at epoch {epoch + 1}: val/nme {value:.2f} %, other trials of the sweep were better by then"
            )

    def _is_worse(self, epoch: int, value: float) -> bool:
        """Report the value of an epoch to the study; whether its pruner ends the trial."""
        import optuna

        from fkd.library_internals.optuna import running_trial
        from fkd.training.optuna_storage import named, open_storage, reached

        try:
            with reached(self.storage):
                storage = open_storage(self.storage)
                try:
                    study = optuna.load_study(study_name=self.study, storage=storage, pruner=self.pruner)
                except KeyError:
                    raise UserError(f"{named(self.storage)}: expected the study {self.study}, found none") from None
                kept = next((trial for trial in study.get_trials(deepcopy=False) if trial.number == self.trial), None)
                if kept is None or kept.state.is_finished():  # the job was started again after its sweep
                    return False
                trial = running_trial(study, kept)
                if epoch not in kept.intermediate_values:  # a resumed job may repeat an epoch
                    trial.report(value, epoch)
                return trial.should_prune()
        except UserError as error:
            rank_zero_warn(f"epoch {epoch + 1} is not compared with other trials: {error}")
            return False


def _is_last(trainer: pl.Trainer) -> bool:
    """Whether this epoch is the last one anyway."""
    last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
    return last_epoch or trainer.global_step == trainer.max_steps or trainer.should_stop
