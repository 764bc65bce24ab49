"""Which runs are better than which, as far as they can be compared."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, NamedTuple

from fkd.comparison.run_reader import TRAINED_ON, Run
from fkd.comparison.settings import Settings, but_seed, data_of, shared
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
        return shared([run.settings for run in self.runs])

    @property
    def name(self) -> str:
        """What it is called where nothing sets it apart."""
        return self.runs[0].name if self.repeats == 1 else f"{self.seeds} seeds"

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
        by: "test" (NME of the test faces) or "val" (`val/nme` of the best epoch).
        ranked: done and scored on the same faces, best first.
        others: all others: not done, not tested, or scored on other faces.
        groups: the ranked runs by recipe, best mean first.
        notes: lines that must be read beside the table.
        warnings: lines about single trainings that failed.
    """

    by: str
    ranked: tuple[Run, ...]
    others: tuple[Run, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """All, ranked first."""
        return self.ranked + self.others

    @property
    def has_repeats(self) -> bool:
        """Whether any recipe was run with several seeds."""
        return any(group.repeats > 1 for group in self.groups)

    @property
    def title(self) -> str:
        """Of the score, with its unit."""
        which = ", all faces" if self.by == "test" and any(run.is_detected for run in self.ranked) else ""
        return f"{self.by} NME{which} (inter-ocular, %)"

    def score(self, run: Run) -> float | None:
        """What runs are ranked by, percent."""
        return _SCORES[self.by](run)


_SCORES: dict[str, Callable[[Run], float | None]] = {
    "test": lambda run: run.test_nme,
    "val": lambda run: run.val_nme,
}


def rank(runs: Sequence[Run], by: str) -> Ranking:
    """The runs that are done, in order of their error.

    Scores on different faces say nothing about each other, so only the largest number of runs on the same faces are
    ranked; a note says how many are left out.

    Args:
        by: "test", "val", or "auto": the test's NME if it ranks as many runs as the validation's.

    Raises:
        UserError: `by` is something else.
    """
    if by not in RANKS:
        raise UserError(f"rank={by}: expected one of {', '.join(RANKS)}")
    done = [run for run in runs if run.status == "done" and not run.is_debug]
    comparable = {split: _comparable(done, split) for split in _SCORES}
    tested, validated = (len(comparable[split][0]) for split in ("test", "val"))
    split = by if by != "auto" else "test" if tested and tested >= validated else "val"
    score, (ranked, elsewhere) = _SCORES[split], comparable[split]
    places = {id(run) for run in ranked}
    others = tuple(sorted((run for run in runs if id(run) not in places), key=_by_validation))
    ranked = sorted(ranked, key=lambda run: (score(run), run.name))
    groups = _groups(ranked, others, score)
    notes = []
    if debugged := [run for run in runs if run.status == "done" and run.is_debug]:
        notes.append(f"{_count(debugged)} made with debug=... and not ranked")
    if elsewhere:
        what = "other faces or kinds of boxes" if split == "test" else "other faces"
        notes.append(f"{_count(elsewhere)} scored on {what} and not ranked with the {len(ranked)}")
    if unscored := [run for run in done if score(run) is None]:
        what = "tested" if split == "test" else "validated"
        notes.append(f"{_count(unscored)} not {what} and not ranked")
    if by == "auto" and split == "val" and tested:
        notes.append(
            f"{tested} of {validated} runs were tested on the same faces and kind of boxes: ranked by val/nme "
            "(rank=test ranks these)"
        )
    if split == "test":
        notes += _cautions(ranked, len(groups))
    return Ranking(split, tuple(ranked), others, groups, tuple(notes))


def _cautions(ranked: Sequence[Run], recipes: int) -> list[str]:
    """What to beware of in a ranking by the test."""
    cautions = []
    if any(run.is_detected for run in ranked):
        cautions.append("boxes=detector: a missed face counts 100 %")
    if recipes > 2:
        cautions.append(
            f"the best of {recipes} recipes was chosen by these test faces, so its error on them is too low an "
            "estimate; rank=val chooses without them"
        )
    return cautions + _remembered(ranked)


def _remembered(ranked: Sequence[Run]) -> list[str]:
    """Which nets were trained on subjects of the test, and of which that is not known."""
    lines = []
    if known := [run for run in ranked if run.test_score(TRAINED_ON)]:
        most, subjects = (max(run.test_score(key) or 0 for run in known) for key in (TRAINED_ON, "subjects"))
        lines.append(
            f"{_count(known)} trained on subjects of this test, up to {most:,} of {subjects:,}: their error measures "
            "memory of faces as well as skill"
        )
    if unknown := [run for run in ranked if run.test.get(TRAINED_ON, 0) is None]:
        lines.append(f"whether {_count(unknown)} trained on subjects of this test is unknown")
    return lines


def _comparable(runs: Sequence[Run], split: str) -> tuple[list[Run], list[Run]]:
    """The most runs that were scored on the same faces of a split; and those that were on others."""
    return _largest([run for run in runs if _SCORES[split](run) is not None], lambda run: _scored_on(run, split))


def _scored_on(run: Run, split: str) -> Hashable:
    """What decides which faces a score is of, and for the test in which boxes."""
    test = ("boxes", "faces", "subjects", "labels") if split == "test" else ()
    return run.faces.get(split) or data_of(run.settings), tuple(repr(run.test.get(key)) for key in test)


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
    by_recipe: dict[Hashable, dict[Any, Run]] = defaultdict(dict)
    for run in sorted(ranked, key=lambda run: (run.started, run.name)):
        by_recipe[_recipe(run)][run.settings.get("seed")] = run
    begun: dict[Hashable, set[Any]] = defaultdict(set)
    for run in [*ranked, *(run for run in others if run.is_begun)]:
        begun[_recipe(run)].add(run.settings.get("seed"))
    groups = [
        Group(tuple(sorted(seeds.values(), key=lambda run: score(run) or 0.0)), len(begun[key]))
        for key, seeds in by_recipe.items()
    ]
    return tuple(sorted(groups, key=lambda group: group.spread(score).mean or 0.0))


def _recipe(run: Run) -> Hashable:
    """What repetitions share."""
    return run.recipe or but_seed(run.settings) or run.name


def _count(runs: Sequence[Run]) -> str:
    return "1 run was" if len(runs) == 1 else f"{len(runs):,} runs were"
