"""The figures that runs are compared by, and what runs are called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fkd.comparison.ranking import Ranking, Spread
from fkd.comparison.runs import Run
from fkd.comparison.settings import Settings, differing, short_names, text

_LONGEST_LABEL = 70


@dataclass(frozen=True)
class Column:
    """One figure of a run.

    Attributes:
        title: with its unit, if it has one, in parentheses.
        value: of a run; None if it has none.
        better: -1 if less is better, 1 if more is, 0 if neither.
        digits: after the point.
    """

    title: str
    value: Callable[[Run], float | None]
    better: int
    digits: int

    def text(self, value: float | None) -> str:
        """A figure in a table."""
        return "–" if value is None else f"{value:,.{self.digits}f}"

    def spread(self, figure: Spread) -> str:
        """Mean and deviation in a table."""
        return self.text(figure.mean) + (f" ± {self.text(figure.sd)}" if figure.sd else "")

    def best(self, values: Sequence[float | None]) -> float | None:
        """The best of some figures; None if there is none."""
        known = [value for value in values if value is not None]
        return (min(known) if self.better < 0 else max(known)) if known and self.better else None


def _minutes(run: Run) -> float | None:
    return None if run.seconds is None else run.seconds / 60


def _millions(run: Run) -> float | None:
    return None if run.parameters is None else run.parameters / 1e6


COLUMNS = (
    Column("best epoch", lambda run: run.epoch, 0, 0),
    Column("val NME (%)", lambda run: run.val_nme, -1, 2),
    Column("test NME (%)", lambda run: run.test_score("nme_interocular"), -1, 2),
    Column("AUC", lambda run: run.test_score("auc_10"), 1, 3),
    Column("failures (%)", lambda run: run.test_score("failure_rate_10"), -1, 1),
    Column("params (M)", _millions, -1, 2),
    Column("images/s", lambda run: run.images_per_s, 1, 0),
    Column("time (min)", _minutes, 0, 1),
)


def used(columns: Sequence[Column], runs: Sequence[Run]) -> list[Column]:
    """Those that any of the runs has a figure for."""
    return [column for column in columns if any(column.value(run) is not None for run in runs)]


def differing_keys(ranking: Ranking) -> list[str]:
    """The settings that have a column."""
    return differing([run.settings for run in ranking.runs])


def labels(ranking: Ranking) -> list[str]:
    """What each run is called in curves and sentences: its rank, if it has one, and what sets it apart."""
    keys = differing_keys(ranking)
    names = []
    for place, run in enumerate(ranking.runs, 1):
        what = described(run.settings, keys) or run.name
        names.append(f"{place}: {what}" if place <= len(ranking.ranked) else what)
    return names


def described(settings: Settings, keys: Sequence[str]) -> str:
    """What sets a run, or a group, apart, in few words."""
    short = short_names(keys)
    words = ", ".join(f"{short[key]}={text(settings[key])}" for key in keys if key in settings)
    return words if len(words) <= _LONGEST_LABEL else f"{words[: _LONGEST_LABEL - 1]}…"
