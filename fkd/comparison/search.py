"""What a sweep that looks for the best settings has found, where that is not what runs are ranked by."""

from collections.abc import Sequence
from pathlib import Path

from fkd.comparison.ranking import Ranking
from fkd.comparison.settings import read_yaml

_METRICS = {"test": "test/nme", "val": "val/nme"}


def notes(folders: Sequence[Path], ranking: Ranking) -> tuple[str, ...]:
    """A line for each folder of such a sweep that minimised another value than the ranking's."""
    return tuple(line for folder in folders for line in _notes(folder, ranking))


def _notes(folder: Path, ranking: Ranking) -> list[str]:
    match read_yaml(folder / "multirun.yaml"):
        case {"hydra": {"sweeper": {"n_trials": _}}, "optimized_metric": metric} if metric != _METRICS[ranking.by]:
            found = [(run.objective, run.name) for run in ranking.runs if folder in run.path.parents]
            values = [(objective, name) for objective, name in found if objective is not None]
            if values and (best := min(values))[1] not in [run.name for run in ranking.ranked[:1]]:
                value, name = best
                by = _METRICS[ranking.by]
                return [f"the sweep sought the lowest {metric}: {value:.5g} in {name}; this table ranks by {by}"]
    return []
