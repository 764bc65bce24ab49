"""Which runs are better than which, as far as they can be compared."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, NamedTuple

from fkd.comparison.runs import Run
from fkd.comparison.settings import Settings, data_of, recipe
from fkd.errors import UserError

RANKS = ("auto", "test", "val")


class Spread(NamedTuple):
    """A figure over several seeds."""

    mean: float | None  # None without any figure
    sd: float | None  # over n - 1; None where there is but one


@dataclass(frozen=True)
class Group:
    """Repetitions of one recipe, which differ in nothing but the seed.

    Attributes:
        runs: those that are ranked, best first, one for each seed.
        repeats: number of seeds that were begun.
    """

    runs: tuple[Run, ...]
    repeats: int

    @property
    def settings(self) -> Settings:
        """Those of all its runs."""
        return {key: value for key, value in self.runs[0].settings.items() if key != "seed"}

    @property
    def seeds(self) -> str:
        """How many there are; "4 of 5" if one was lost."""
        return str(self.repeats) if len(self.runs) == self.repeats else f"{len(self.runs)} of {self.repeats}"

    def spread(self, value: Callable[[Run], float | None]) -> Spread:
        """Mean and standard deviation of a figure over the seeds."""
        values = [found for run in self.runs if (found := value(run)) is not None]
        return Spread(mean(values) if values else None, stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Ranking:
    """Runs in order.

    Attributes:
        by: "test" (NME of the test faces, inter-ocular) or "val" (`val/nme` of the best epoch).
        ranked: done and comparable with each other, best first.
        others: all others: not done, not tested, or scored on other faces.
        groups: the ranked runs by recipe, best mean first.
        notes: lines that must be read beside the table.
    """

    by: str
    ranked: tuple[Run, ...]
    others: tuple[Run, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All, ranked first."""
        return self.ranked + self.others

    @property
    def has_repeats(self) -> bool:
        """Whether any recipe was run with several seeds."""
        return any(group.repeats > 1 for group in self.groups)

    def score(self, run: Run) -> float | None:
        """What runs are ranked by, percent."""
        return _SCORES[self.by](run)


_SCORES: dict[str, Callable[[Run], float | None]] = {
    "test": lambda run: run.test_score("nme_interocular"),
    "val": lambda run: run.val_nme,
}


def rank(runs: Sequence[Run], by: str) -> Ranking:
    """The runs that are done, in order of their error.

    Scores on different faces say nothing about each other, so only the largest number of runs on the same data are
    ranked; a note says how many are left out.

    Args:
        by: "test", "val", or "auto": the test's NME if all those runs have one on the same faces and kind of boxes.

    Raises:
        UserError: `by` is something else.
    """
    if by not in RANKS:
        raise UserError(f"rank={by}: expected one of {', '.join(RANKS)}")
    done = [run for run in runs if run.status == "done" and (run.val_nme is not None or run.test)]
    done, elsewhere = _largest(done, lambda run: data_of(run.settings))
    notes = []
    if elsewhere:
        notes.append(f"{_count(elsewhere)} scored on other data (data.*) and not ranked with the {len(done)}")
    tested, otherwise = _largest([run for run in done if _SCORES["test"](run) is not None], _test_set)
    untested = len(done) - len(tested) - len(otherwise)
    if by == "auto":
        by = "test" if tested and len(tested) == len(done) else "val"
        if otherwise:
            notes.append("runs were tested on different faces or kinds of boxes: ranked by val/nme (or give rank=test)")
        elif by == "val" and tested:
            notes.append(f"{_count(untested)} not tested: ranked by val/nme (rank=test ranks the others)")
    elif by == "test" and otherwise:
        notes.append(f"{_count(otherwise)} tested on other faces or kinds of boxes and not ranked with the rest")
    score = _SCORES[by]
    candidates = tested if by == "test" else done
    ranked = tuple(sorted((r for r in candidates if score(r) is not None), key=lambda r: (score(r), r.name)))
    places = {id(run) for run in ranked}
    others = tuple(sorted((run for run in runs if id(run) not in places), key=_by_validation))
    return Ranking(by, ranked, others, _groups(ranked, others, score), tuple(notes))


def _test_set(run: Run) -> Hashable:
    return tuple(repr(run.test.get(key)) for key in ("boxes", "faces", "subjects", "labels"))


def _largest(runs: Sequence[Run], key: Callable[[Run], Hashable]) -> tuple[list[Run], list[Run]]:
    """The most runs of equal key, of several as many the first; and the rest."""
    if not runs:
        return [], []
    (most, _), *_ = Counter(key(run) for run in runs).most_common(1)
    return [run for run in runs if key(run) == most], [run for run in runs if key(run) != most]


def _by_validation(run: Run) -> tuple[bool, float, str]:
    return run.val_nme is None, run.val_nme or 0.0, run.name


def _groups(ranked: Sequence[Run], others: Sequence[Run], score: Callable[[Run], float | None]) -> tuple[Group, ...]:
    """A seed that was run twice counts once, the later run of it: else the spread would seem smaller than it is."""
    by_recipe: dict[Any, dict[Any, Run]] = defaultdict(dict)
    for run in sorted(ranked, key=lambda run: (run.started, run.name)):
        by_recipe[recipe(run.settings) or run.name][run.settings.get("seed")] = run
    begun: dict[Any, set[Any]] = defaultdict(set)
    for run in [*ranked, *others]:
        begun[recipe(run.settings) or run.name].add(run.settings.get("seed"))
    groups = [
        Group(tuple(sorted(seeds.values(), key=lambda run: score(run) or 0.0)), len(begun[key]))
        for key, seeds in by_recipe.items()
    ]
    return tuple(sorted(groups, key=lambda group: group.spread(score).mean or 0.0))


def _count(runs: Sequence[Run] | int) -> str:
    number = runs if isinstance(runs, int) else len(runs)
    return "1 run was" if number == 1 else f"{number:,} runs were"
