"""The curves of a comparison as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fkd.comparison.curves import Drawn
from fkd.comparison.ranking import Ranking
from fkd.visualization import plots


def write_figures(output: Path, ranking: Ranking, drawn: Sequence[Drawn]) -> list[Path]:
    """Write `ced.png`, `training.png` and `cost.png`, those without data excepted; return the paths written."""
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
        figures = [(ranking.score(run), run.parameters, run.images_per_s) for run in ranking.ranked]
        scores, parameters, speeds = np.array(figures, np.float64).T
        costs = {"parameters": parameters, "images per second in training": speeds}
        plots.cost(costs, scores, ranking.title, output / "cost.png")
        written.append(output / "cost.png")
    return written
