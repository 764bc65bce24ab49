"""Undocumented parts of Optuna."""

from optuna import Study
from optuna.trial import FrozenTrial, Trial


def running_trial(study: Study, trial: FrozenTrial) -> Trial:
    """The trial of a study as one that reports values and takes attributes; `Study.ask` gives new trials only."""
    return Trial(study, trial._trial_id)
