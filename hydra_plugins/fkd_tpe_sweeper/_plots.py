"""Two images of a sweep, drawn by Optuna: the best value so far, and the values over each key that was varied."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import optuna
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from optuna.visualization import matplotlib as optuna_plots

from fkd.io.atomic import whole_file

mpl.use("agg")  # writes files and opens no windows


def draw(study: optuna.Study, objective: str, folder: Path) -> None:
    """Write `history.png` and `slices.png` with the completed trials; values that are not finite are left out.

    Args:
        study: two or more trials have a finite value.
        objective: name of the minimised value, with its unit.
        folder: where the images are written.
    """
    with warnings.catch_warnings(), plt.rc_context({"figure.constrained_layout.use": True}):  # Optuna sets a style, too
        warnings.simplefilter("ignore")  # its functions warn that they may change
        history = optuna_plots.plot_optimization_history(study, target_name=objective)
        history.legend()  # inside of the axes
        history.xaxis.set_major_locator(MaxNLocator(integer=True))
        _save([history], 7.2, folder / "history.png")
        optuna_plots.plot_slice(study, target_name=objective)
        *slices, trial_numbers = plt.gcf().axes  # the last one is the bar of colours
        trial_numbers.yaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in slices:
            if axes.get_xscale() == "log":
                _label_few(axes.xaxis)
            axes.tick_params(axis="x", which="both", labelrotation=45)  # choices may have long names
        _save(slices, max(3.2 * len(slices), 6.4), folder / "slices.png")


def _save(panels: Sequence[Axes], width: float, path: Path) -> None:
    low, high = panels[0].dataLim.intervaly
    if 0 < 4 * low < high:  # on a linear scale a few bad trials would press all others together
        panels[0].set_yscale("log")  # the panels share it
        _label_few(panels[0].yaxis)
    figure = plt.gcf()
    figure.set(figwidth=width, figheight=4.8, layout_engine="constrained")
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=150)
    plt.close(figure)


def _label_few(axis: Axis) -> None:
    """Label 1, 2 and 5 of each decade of a logarithmic axis, of many decades only 1; matplotlib's labels overlap."""
    low, high = axis.get_view_interval()
    if high > 5 * low:  # else matplotlib labels every digit
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1000 * low else (1.0,), numticks=8))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
