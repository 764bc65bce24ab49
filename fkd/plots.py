"""Error curves; apart from `fkd.draw`, since prediction has no need of matplotlib."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fkd.files import whole_file


def error_curve(errors: Mapping[str, npt.NDArray[np.floating]], path: Path, limit: float = 10.0) -> None:
    """Cumulative error curves as a PNG, the best one first in the legend.

    The area under the curve is that of the exact step function, ``mean(max(0, limit - error)) / limit``, the failure
    rate the share of faces above the limit (as in Yang et al., "An Empirical Study of Recent Face Alignment Methods",
    2015, section 3).

    Args:
        errors: name of the curve -> (N,) error of each face in percent; a missed face has an infinite one.
        path: the file, replaced as a whole; its folder must exist.
        limit: the end of the axis, in percent.

    Raises:
        ValueError: a curve has no faces, or one whose error is not a number.
    """
    for name, values in errors.items():
        if len(values) == 0 or np.isnan(values).any():
            raise ValueError(f"error_curve: {name}: expected one or more errors, found {len(values)} with NaN or none")
    area = {name: float(np.maximum(limit - values, 0).mean() / limit) for name, values in errors.items()}
    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for i, name in enumerate(sorted(errors, key=lambda name: -area[name])):
        values = np.sort(errors[name])
        share = 100 * np.arange(1, len(values) + 1) / len(values)
        inside = values <= limit
        end = share[inside][-1] if inside.any() else 0.0
        label = f"{name}: AUC {area[name]:.3f}, failures {100 - end:.1f} %"
        x, y = np.concatenate([[0.0], values[inside], [limit]]), np.concatenate([[0.0], share[inside], [end]])
        colour = f"C{list(errors).index(name) % 10}"  # a curve keeps its colour whichever is best
        axes.step(
            x, y, where="post", label=label, color=colour, linestyle=("-", "--", ":", "-.")[i // 10 % 4], linewidth=1.6
        )
    axes.set(xlabel="NME (inter-ocular, %)", ylabel="faces (%)", xlim=(0, limit), ylim=(0, 100))
    axes.grid(alpha=0.3)
    if len(errors) > 6:  # more would cover the curves
        figure.legend(loc="outside lower center", fontsize="small", ncols=1)
        figure.set_figheight(4.8 + 0.2 * len(errors))
    else:
        axes.legend(loc="best", fontsize="small")
    with whole_file(path) as file:
        figure.savefig(file, format="png")
