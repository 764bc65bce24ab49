"""Rank the runs that can be compared with each other."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, NamedTuple

from fkd.comparison.run_reader import TRAINED_ON, Run
from fkd.comparison.settings import Settings, data_of, shared, without_seed
from fkd.errors import UserError

RANKS = ("auto", "test", "val")


class Spread(NamedTuple):
    """A figure over several seeds."""

    mean: float | None  # None if no run has the figure
    sd: float | None  # over n - 1; None if one run has the figure


@dataclass(frozen=True)
class Group:
    """Repetitions of one recipe, which differ in the seed only.

    Attributes:
        runs: the ranked ones, best first, one for each seed.
        repeats: number of seeds that were started.
    """

    runs: tuple[Run, ...]
    repeats: int

    @property
    def settings(self) -> Settings:
        """The settings that are equal in all runs, without the seed."""
        return shared([run.settings for run in self.runs])

    @property
    def name(self) -> str:
        """The name of a recipe without settings of its own."""
        return self.runs[0].name if self.repeats == 1 else f"{self.seeds} seeds"

    @property
    def seeds(self) -> str:
        """The number of seeds; "4 of 5" if one of five is not ranked."""
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
        ranked: runs that are done and were scored on the same faces, best first.
        others: all other runs: not done, not scored, or scored on other faces.
        groups: the ranked runs by recipe, best mean first.
        notes: limits of the ranking, a line each.
        warnings: signs of failed trainings, a line each.
    """

    by: str
    ranked: tuple[Run, ...]
    others: tuple[Run, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, the ranked ones first."""
        return self.ranked + self.others

    @property
    def has_repeats(self) -> bool:
        """Whether any recipe was run with several seeds."""
        return any(group.repeats > 1 for group in self.groups)

    @property
    def title(self) -> str:
        """The title of the score, with its unit."""
        which = ", all faces" if self.by == "test" and any(run.is_detected for run in self.ranked) else ""
        return f"{self.by} NME{which} (inter-ocular, %)"

    def score(self, run: Run) -> float | None:
        """The NME by which runs are ranked, percent."""
        return _SCORES[self.by](run)


_SCORES: dict[str, Callable[[Run], float | None]] = {
    "test": lambda run: run.test_nme,
    "val": lambda run: run.val_nme,
}


def rank(runs: Sequence[Run], by: str) -> Ranking:
    """Rank the runs that are done by their error.

    Scores on different faces cannot be compared, so only the largest set of runs with the same faces is ranked; a note
    counts the runs that are left out.

    Args:
        by: "test", "val", or "auto": the test NME if it ranks as many runs as the validation NME.

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
    others = [run for run in runs if id(run) not in places]
    others.sort(key=lambda run: (run.val_nme is None, run.val_nme or 0.0, run.name))
    ranked.sort(key=lambda run: (score(run), run.name))
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
    return Ranking(split, tuple(ranked), tuple(others), groups, tuple(notes))


def _cautions(ranked: Sequence[Run], recipes: int) -> list[str]:
    """Notes on what a ranking by the test does not show."""
    lines = []
    if any(run.is_detected for run in ranked):
        lines.append("boxes=detector: a missed face counts 100 %")
    if recipes > 2:
        lines.append(
            f"the best of {recipes} recipes was chosen by these test faces, so its error on them is too low an "
            "estimate; rank=val chooses without them"
        )
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
    """The largest set of runs that were scored on the same faces of a split; and the runs scored on other faces."""
    scored = [(run, _scored_on(run, split)) for run in runs if _SCORES[split](run) is not None]
    counts = Counter(key for _, key in scored)
    most = max(counts, key=counts.__getitem__, default=None)
    return [run for run, key in scored if key == most], [run for run, key in scored if key != most]


def _scored_on(run: Run, split: str) -> Hashable:
    """A key of the faces on which a run was scored, for the test also of the kind of boxes."""
    test = ("boxes", "faces", "subjects", "labels") if split == "test" else ()
    return run.faces.get(split) or data_of(run.settings), tuple(repr(run.test.get(key)) for key in test)


def _groups(ranked: Sequence[Run], others: Sequence[Run], score: Callable[[Run], float | None]) -> tuple[Group, ...]:
    """Of a seed that was run twice only the later run counts: both would make the standard deviation too small."""
    by_recipe: dict[Hashable, dict[Any, Run]] = defaultdict(dict)
    for run in sorted(ranked, key=lambda run: (run.started, run.name)):
        by_recipe[_recipe(run)][run.settings.get("seed")] = run
    started: dict[Hashable, set[Any]] = defaultdict(set)
    for run in [*ranked, *(run for run in others if run.has_trained)]:
        started[_recipe(run)].add(run.settings.get("seed"))
    groups = [
        Group(tuple(sorted(seeds.values(), key=lambda run: score(run) or 0.0)), len(started[key]))
        for key, seeds in by_recipe.items()
    ]
    return tuple(sorted(groups, key=lambda group: group.spread(score).mean or 0.0))


def _recipe(run: Run) -> Hashable:
    """A key that is the same for repetitions of a recipe."""
    return run.recipe or without_seed(run.settings) or run.name


def _count(runs: Sequence[Run]) -> str:
    return "1 run was" if len(runs) == 1 else f"{len(runs):,} runs were"
