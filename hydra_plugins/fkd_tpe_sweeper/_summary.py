"""What a sweep says of its trials, and two pictures of them."""

import logging
import warnings
from collections import Counter

import matplotlib.pyplot as plt
from optuna.trial import TrialState
from optuna.visualization import matplotlib as plots

from fkd.files import whole_file
from hydra_plugins.fkd_tpe_sweeper._space import overrides
from hydra_plugins.fkd_tpe_sweeper._study import SharedStudy

log = logging.getLogger(__name__)


def log_trial(study: SharedStudy, number: int) -> None:
    """One line: what came of a trial, and which is the best so far."""
    trial = study.study.get_trials(deepcopy=False)[number]
    outcome = f"{trial.value:.4g}" if trial.state == TrialState.COMPLETE else study.status(trial)
    log.info(f"\t#{number} : {outcome}{_best(study)}")


def log_sweep(study: SharedStudy, objective: str) -> None:
    """The best trial and what is missing; `history.png` and `slices.png` in the sweep's folder, of several."""
    trials = study.study.get_trials(deepcopy=False)
    states = Counter(study.status(trial).split(":")[0] for trial in trials)
    log.info(f"{len(trials)} trials in {study.folder}: {', '.join(f'{n} {state}' for state, n in states.items())}")
    if states["interrupted"]:
        log.info(f"resume={study.folder} goes on with what was interrupted")
    complete = sum(trial.state == TrialState.COMPLETE for trial in trials)
    if complete == 0:
        return
    best = study.study.best_trial
    log.info(f"best: #{best.number} {objective}={best.value:.5g} {' '.join(overrides(best.params, study.space))}")
    if complete > 1:
        _draw(study, objective)


def _best(study: SharedStudy) -> str:
    if all(trial.state != TrialState.COMPLETE for trial in study.study.get_trials(deepcopy=False)):
        return ""
    best = study.study.best_trial
    return f" (best: #{best.number} {best.value:.4g})"


def _draw(study: SharedStudy, objective: str) -> None:
    plt.switch_backend("Agg")
    logging.getLogger("matplotlib.category").setLevel(logging.WARNING)  # choices of numbers are meant
    for name, plot in (("history", plots.plot_optimization_history), ("slices", plots.plot_slice)):
        with plt.rc_context(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*experimental.*")
            plot(study.study, target_name=objective)
            figure = plt.gcf()
            for axes in figure.axes:  # names of options, and the many ticks of less than a decade, would overlap
                axes.tick_params(axis="x", which="both", labelrotation=45)
            with whole_file(study.folder / f"{name}.png") as file:
                figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
            plt.close(figure)
