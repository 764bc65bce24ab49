"""One sentence on whether the best is really better than the second."""

import numpy as np
import numpy.typing as npt

from fkd.comparison import tested
from fkd.comparison.columns import described, differing_keys
from fkd.comparison.paired import Interval, bootstrap
from fkd.comparison.ranking import Ranking

_FEW_PEOPLE = 20
"""With fewer clusters the percentile interval is known to be too narrow (Cameron, Gelbach & Miller, "Bootstrap-Based
Improvements for Inference with Clustered Errors", Review of Economics and Statistics 90(3), 2008, section 4)."""
_SEED = 0


def verdict(ranking: Ranking, resamples: int) -> str:
    """The paired test of the first two recipes, or why there is none.

    With several seeds of a recipe its error on a face is the mean over them.
    """
    sides = ranking.groups[:2]
    if len(sides) < 2:
        return "no paired test: there are not two runs that can be compared"
    keys = differing_keys(ranking)
    first, second = (described(side.settings, [key for key in keys if key != "seed"]) for side in sides)
    names = ("1", "2") if first == second else (f"1 ({first})", f"2 ({second})")
    runs = [run for side in sides for run in side.runs]
    faces = [one for run in runs if (one := tested.read(run.path)) is not None]
    if len(faces) < len(runs):
        return f"no paired test: not all runs of {names[0]} and {names[1]} left test_faces.npz (test=true writes it)"
    rows = tested.matched(faces)
    errors = np.array([one.nme[row] for one, row in zip(faces, rows, strict=True)], np.float64)
    split = len(sides[0].runs)
    first_errors, second_errors = errors[:split].mean(axis=0), errors[split:].mean(axis=0)
    known = np.isfinite(first_errors) & np.isfinite(second_errors)
    if not known.any():
        return f"no paired test: {names[0]} and {names[1]} share no test face"
    people = faces[0].subjects[rows[0]][known]
    how = f"means over {split} and {len(runs) - split} seeds" if len(runs) > 2 else "one training each"
    if any(one.missed[row].any() for one, row in zip(faces, rows, strict=True)):
        how += ", missed faces at the mean shape's error"
    return _sentence(names, first_errors[known], second_errors[known], people, resamples, how)


def _sentence(
    names: tuple[str, str],
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    people: npt.NDArray[np.str_],
    resamples: int,
    how: str,
) -> str:
    single = bootstrap(second - first, resamples, _SEED)
    persons = len(np.unique(people))
    whole = bootstrap(second - first, resamples, _SEED, people if persons > 1 else None)
    outcome = _outcome(names, whole)
    what = "whole people" if persons > 1 else "its one person's faces"
    few = f", rather too narrow with {persons} people" if 1 < persons < _FEW_PEOPLE else ""
    return (
        f"{outcome}: NME {first.mean():.3f} against {second.mean():.3f} % on the same {len(first):,} test faces of "
        f"{persons:,} people ({how}). 95 % interval of the difference: {whole.low:+.3f} to {whole.high:+.3f}, "
        f"by a paired bootstrap over {what}{few}; {single.low:+.3f} to {single.high:+.3f} if faces were independent."
    )


def _outcome(names: tuple[str, str], interval: Interval) -> str:
    if not interval.excludes_zero:
        return f"{names[0]} may be no better than {names[1]}"
    if interval.low > 0:
        return f"{names[0]} is really better than {names[1]} on these faces"
    return f"{names[0]} is really worse than {names[1]} on the test faces"
