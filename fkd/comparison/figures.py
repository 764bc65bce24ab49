"""The curves as PNG files, for papers and notes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fkd.comparison.curves import Drawn
from fkd.comparison.ranking import Ranking
from fkd.visualization import plots


def write_figures(output: Path, ranking: Ranking, drawn: Sequence[Drawn]) -> list[Path]:
    """Writes `ced.png`, `training.png` and `cost.png` as far as there is something to draw; gives those written."""
    written = []
    errors = {one.label: one.faces.curve.astype(np.float64) for one in drawn if one.faces is not None}
    if errors:
        plots.error_curve(errors, output / "ced.png")
        written.append(output / "ced.png")
    logged = {one.label: one.logged for one in drawn if one.logged}
    if logged:
        plots.training_curves(logged, output / "training.png")
        written.append(output / "training.png")
    if ranking.ranked:
        errors_of_nets = np.array([ranking.score(run) for run in ranking.ranked], np.float64)
        costs = {
            "parameters": np.array([run.parameters for run in ranking.ranked], np.float64),
            "images per second in training": np.array([run.images_per_s for run in ranking.ranked], np.float64),
        }
        plots.cost(costs, errors_of_nets, ranking.title, output / "cost.png")
        written.append(output / "cost.png")
    return written
