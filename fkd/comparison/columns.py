"""The columns of a comparison, and the labels of its runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fkd.comparison.ranking import Ranking, Spread
from fkd.comparison.run_reader import Run
from fkd.comparison.settings import Settings, differing, short_names, text

_LONGEST_LABEL = 70


@dataclass(frozen=True)
class Column:
    """One figure of a run.

    Attributes:
        title: with its unit, if any, in parentheses.
        value: returns a run's figure, None if it has none.
        better: -1 if less is better, 1 if more is better, 0 if neither.
        form: formats the figure.
    """

    title: str
    value: Callable[[Run], float | None]
    better: int
    form: Callable[[float], str]

    def text(self, value: float | None) -> str:
        """A figure in a table."""
        return "–" if value is None else self.form(value)

    def spread(self, figure: Spread) -> str:
        """The mean in a table, with the standard deviation in columns that have a best value."""
        return self.text(figure.mean) + (f" ± {self.text(figure.sd)}" if figure.sd and self.better else "")

    def best(self, values: Sequence[float | None]) -> float | None:
        """The best of some figures; None if there is none, or if all are equal."""
        known = {value for value in values if value is not None}
        return (min(known) if self.better < 0 else max(known)) if len(known) > 1 and self.better else None


def _duration(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.1f} h"


COLUMNS = (
    Column("best epoch", lambda run: run.epoch, 0, "{:,.0f}".format),
    Column("val NME (%)", lambda run: run.val_nme, -1, "{:,.2f}".format),
    Column("test NME (%)", lambda run: None if run.is_detected else run.test_nme, -1, "{:,.2f}".format),
    Column("test NME, all (%)", lambda run: run.test_nme if run.is_detected else None, -1, "{:,.2f}".format),
    Column("AUC", lambda run: run.test_score("auc_10"), 1, "{:,.3f}".format),
    Column("failures (%)", lambda run: run.test_score("failure_rate_10"), -1, "{:,.1f}".format),
    Column("params (M)", lambda run: None if run.parameters is None else run.parameters / 1e6, -1, "{:,.2f}".format),
    Column("images/s", lambda run: run.images_per_s, 1, "{:,.0f}".format),
    Column("time", lambda run: run.seconds, 0, _duration),
)


def used(columns: Sequence[Column], runs: Sequence[Run]) -> list[Column]:
    """The columns for which any of the runs has a figure."""
    return [column for column in columns if any(column.value(run) is not None for run in runs)]


def differing_keys(ranking: Ranking) -> list[str]:
    """The settings in which all runs differ."""
    return differing([run.settings for run in ranking.runs])


def ranked_keys(ranking: Ranking) -> list[str]:
    """The settings in which the ranked runs differ; if there are none, e.g. for a single run, those of all runs."""
    return differing([run.settings for run in ranking.ranked]) or differing_keys(ranking)


def recipe_keys(ranking: Ranking) -> list[str]:
    """The settings in which the recipes differ; if there are none, those in which the other runs differ from them."""
    recipes = [group.settings for group in ranking.groups]
    keys = differing(recipes) or differing(recipes + [run.settings for run in ranking.others])
    return [key for key in keys if key != "seed"]


def labels(ranking: Ranking) -> list[str]:
    """The name of each run in curves and sentences: its rank, if any, and the settings in which it differs."""
    of_all, of_ranked = differing_keys(ranking), ranked_keys(ranking)
    ranked = [f"{place}: {_label(run, of_ranked)}" for place, run in enumerate(ranking.ranked, 1)]
    return ranked + [_label(run, of_all) for run in ranking.others]


def _label(run: Run, keys: Sequence[str]) -> str:
    full = words(run.settings, keys)
    return f"{full[: _LONGEST_LABEL - 1]}…" if len(full) > _LONGEST_LABEL else full or run.name


def words(settings: Settings, keys: Sequence[str]) -> str:
    """These settings, as far as they are known, in one line."""
    short = short_names(keys)
    return ", ".join(f"{short[key]}={text(settings[key])}" for key in keys if key in settings)
