"""The curves as PNG files look as on the page, and state the same figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from fkd import metrics
from fkd.comparison.charts import error_steps
from fkd.visualization import plots


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """All that are saved."""
    kept: list[Figure] = []

    def keep(figure: Figure, file: Any, **_: Any) -> None:
        kept.append(figure)

    monkeypatch.setattr("fkd.visualization.plots.Figure.savefig", keep)
    return kept


def looks(lines: Any) -> list[tuple[str, str]]:
    return [(line.get_color(), line.get_linestyle()) for line in lines]


def test_the_area_is_that_of_the_metric() -> None:
    errors = np.append(np.random.default_rng(0).gamma(4, 2, 1000), np.inf)
    expected = metrics.auc(torch.from_numpy(errors), plots.LIMIT)
    assert plots.area(errors) == pytest.approx(expected)
    assert error_steps(errors)["auc"] == pytest.approx(expected, abs=1e-4)


def test_28_curves_are_told_apart(tmp_path: Path, figures: list[Figure]) -> None:
    rng = np.random.default_rng(0)
    errors = {f"run {i}": rng.uniform(0, 20, 5) for i in range(28)}
    curve = {"val/nme": {1: 9.0, 2: 8.0}, "val/loss": {1: 2.0, 2: 1.5}, "train/loss": {1: 3.0, 2: 2.0}}
    plots.error_curve(errors, tmp_path / "ced.png")
    plots.training_curves(dict.fromkeys(errors, curve), tmp_path / "training.png")
    (ced,), (nme, loss) = (figure.axes for figure in figures)
    assert len(set(looks(ced.get_lines()))) == 28
    by_name = {
        line.get_label().split(":")[0]: look for line, look in zip(ced.get_lines(), looks(ced.get_lines()), strict=True)
    }
    assert [by_name[name] for name in errors] == looks(nme.get_lines())  # in whatever order a legend has them
    validated, trained = loss.get_lines()[::2], loss.get_lines()[1::2]
    assert looks(validated) == looks(trained) == looks(nme.get_lines())
    assert all(v.get_linewidth() > t.get_linewidth() for v, t in zip(validated, trained, strict=True))
