"""The data of curves; they are read for the best runs only, since a folder may hold thousands."""

from collections.abc import Mapping
from dataclasses import dataclass

from fkd.comparison import tested
from fkd.comparison.columns import labels
from fkd.comparison.ranking import Ranking
from fkd.comparison.run_reader import Run, number
from fkd.comparison.tested import FaceErrors
from fkd.training.runs import metrics_csv
from fkd.training.runs.metrics_csv import Curve


@dataclass(frozen=True)
class Drawn:
    """One run with its curves.

    Attributes:
        place: index of the run in `ranking.runs`.
        run: the run.
        label: its name in legends.
        logged: logged name -> curve over epochs.
        faces: errors of its test faces; None if it left none.
    """

    place: int
    run: Run
    label: str
    logged: Mapping[str, Curve]
    faces: FaceErrors | None

    @property
    def test_parts(self) -> dict[str, float]:
        """Part of the face -> NME on the test faces, percent inter-ocular; empty if it was not tested."""
        parts = self.run.test.get("per_part")
        if not isinstance(parts, dict):
            return {}
        return {part: value for part, found in parts.items() if (value := number(found)) is not None}

    @property
    def val_parts(self) -> dict[str, float]:
        """The same on the validation faces of the best epoch."""
        found, prefix = metrics_csv.best_epoch(self.logged), "val/nme_part/"
        return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def draw(ranking: Ranking, count: int) -> list[Drawn]:
    """The best run of each recipe, then the other runs by rank, `count` in all: every recipe comes before any seed."""
    names, places = labels(ranking), {run.path: place for place, run in enumerate(ranking.runs)}
    first = [places[group.runs[0].path] for group in ranking.groups]
    order = list(dict.fromkeys([*first, *places.values()]))[:count]
    return [
        Drawn(place, run, names[place], metrics_csv.read(run.path), tested.read(run.path))
        for place in order
        for run in [ranking.runs[place]]
    ]
