"""Results of a sweep: log lines, two images, and `search.json`."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fkd.errors import printable
from fkd.training.runs.command_line import is_learned
from fkd.training.runs.run_folder import write_json
from hydra_plugins.fkd_tpe_sweeper import _plots
from hydra_plugins.fkd_tpe_sweeper._study import SharedStudy, complete

log = logging.getLogger(__name__)


def log_trial(study: SharedStudy, number: int, objective: str) -> None:
    """Log the result of a trial and the best one so far."""
    trials = study.study.get_trials(deepcopy=False)
    values = complete(trials)
    outcome = _format(values[number], objective) if number in values else study.status(trials[number])
    best = min(values, key=values.__getitem__, default=None)
    _log(f"\t#{number} : {outcome}" + ("" if best is None else f" (best: #{best}, {_format(values[best], objective)})"))


def log_sweep(study: SharedStudy, fixed: Sequence[str], objective: str) -> None:
    """Log the best trial and the unfinished ones; write `search.json`, `history.png` and `slices.png`.

    The images need two completed trials.

    Args:
        fixed: overrides that all jobs share.
    """
    trials = study.study.get_trials(deepcopy=False)
    values, states = complete(trials), Counter(_state(study.status(trial)) for trial in trials)
    _log(f"{len(trials)} trials in {study.folder}: {', '.join(f'{n} {state}' for state, n in states.items())}")
    if states["interrupted"] or states["failed"]:
        _log(f"resume={study.folder} continues the trials that were interrupted or failed")
    if values:
        best = min(values, key=values.__getitem__)
        _log(f"best: #{best}, {_format(values[best], objective)}, in {study.folder_of(best)}")
    write_json(study.folder / "search.json", _content(study, fixed, objective))
    if sum(map(math.isfinite, values.values())) > 1:
        _plots.draw(study.study, objective.replace("/", " ").replace("nme", "NME (inter-ocular, %)"), study.folder)


def _content(study: SharedStudy, fixed: Sequence[str], objective: str) -> dict[str, Any]:
    """The search space and the result of each trial, best first; trials without a value come last."""
    trials = study.study.get_trials()
    values = complete(trials)
    trials.sort(key=lambda trial: (values.get(trial.number, math.inf), trial.number))
    results = [study.result_of(trial.number) for trial in trials]
    return {
        "objective": objective,
        "overrides": [override for override in fixed if is_learned(override.partition("=")[0])],
        "space": {key: str(distribution) for key, distribution in study.space.items()},
        "date": min((date for result in results if isinstance(date := result.get("started"), str)), default=None),
        "environment": next((result["environment"] for result in results if "environment" in result), None),
        "trials": [
            {
                "number": trial.number,
                "params": trial.params,
                "status": _state(study.status(trial)),
                "value": values.get(trial.number),
                "seconds": result.get("seconds"),
                "curve": [value for _, value in sorted(trial.intermediate_values.items())],
            }
            for trial, result in zip(trials, results, strict=True)
        ],
    }


def _log(line: str) -> None:
    log.info(printable(line))


def _state(status: str) -> str:
    return "pruned" if status.startswith("stopped: pruned") else status.split(":")[0]


def _format(value: float, objective: str) -> str:
    """Format a value as the table of a sweep does."""
    name = objective.replace("/", " ").replace("nme", "NME")
    return f"{name} {value:.2f} %" if objective.endswith("nme") else f"{name} {value:.5g}"
