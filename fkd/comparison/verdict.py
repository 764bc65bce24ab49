"""One sentence on whether the best is better than the second, or may only have had more luck."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fkd.comparison import tested
from fkd.comparison.columns import recipe_keys, words
from fkd.comparison.paired import Interval, interval
from fkd.comparison.ranking import Ranking

_SEED = 0


def verdict(ranking: Ranking, resamples: int) -> str | None:
    """The paired test of the first two recipes, or why they cannot be tested; None if there are not two."""
    sides = ranking.groups[:2]
    if len(sides) < 2:
        return None
    names = [words(side.settings, recipe_keys(ranking)) or side.name for side in sides]
    both = " and ".join(names)
    runs = [run for side in sides for run in side.runs]
    if len({repr(run.test.get("boxes")) for run in runs}) > 1:
        return f"no paired test: {both} were tested with different kinds of boxes"
    faces = [one for run in runs if (one := tested.read(run.path)) is not None]
    if len(faces) < len(runs):
        return f"no paired test: not all runs of {both} left test_faces.npz (test=true writes it)"
    rows = tested.matched(faces)
    errors = np.array([one.nme[row] for one, row in zip(faces, rows, strict=True)], np.float64)
    known = np.isfinite(errors).all(axis=0)
    if (count := int(known.sum())) < 2:
        return f"no paired test: {both} share {count} test face{'' if count == 1 else 's'}, two are needed"
    trainings, people = [len(side.runs) for side in sides], faces[0].subjects[rows[0]][known]
    first, second = np.split(errors[:, known], [trainings[0]])
    found = interval(first, second, people, resamples, _SEED)
    several = "" if max(trainings) == 1 else f", means over {trainings[0]} and {trainings[1]} trainings"
    missed = any(one.missed[row].any() for one, row in zip(faces, rows, strict=True))
    return (
        f"{_outcome(names, found, trainings)}: NME {first.mean():.3f} against {second.mean():.3f} % on the same "
        f"{count:,} test faces of {len(np.unique(people)):,} people{several}"
        f"{', missed faces count 100 %' if missed else ''}. 95 % interval of the difference: "
        f"{found.low:+.3f} to {found.high:+.3f}, {_scope(people, names, trainings)}."
    )


def _outcome(names: Sequence[str], found: Interval, trainings: Sequence[int]) -> str:
    first, second = names
    if found.low <= 0 <= found.high:
        return f"{first} may be no better than {second}"
    word = "better" if found.low > 0 else "worse"
    return f"{first} {'is' if min(trainings) > 1 else 'came out'} {word} than {second}"


def _scope(people: npt.NDArray[np.str_], names: Sequence[str], trainings: Sequence[int]) -> str:
    """What chance the interval holds, and what it does not."""
    scope = f"over {'people' if len(np.unique(people)) > 1 else 'the faces of one person'} (paired bootstrap)"
    if max(trainings) > 1:
        scope += " and trainings (Welch's t)"
    if min(trainings) == 1:
        which = "each" if max(trainings) == 1 else names[trainings.index(1)]
        scope += f"; of {which} there is one training, and what other seeds change is not in it (sweep=seeds5 tells)"
    return scope
