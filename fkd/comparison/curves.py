"""The data of curves; they are read for the best runs only, since a folder may hold thousands."""

from collections.abc import Mapping
from dataclasses import dataclass

from fkd.comparison import tested
from fkd.comparison.columns import labels
from fkd.comparison.ranking import Ranking
from fkd.comparison.run_reader import Run
from fkd.comparison.settings import bounded, shown
from fkd.comparison.tested import FaceErrors
from fkd.training.runs import metrics_csv
from fkd.training.runs.metrics_csv import Curve
from fkd.training.runs.reading import number


@dataclass(frozen=True)
class Drawn:
    """One run with its curves.

    Attributes:
        place: index of the run in `ranking.runs`.
        run: the run.
        label: its name in legends.
        logged: logged name -> curve over epochs.
        faces: errors of its test faces; None if it left none.
        damage: for each of its files that cannot be read the reason in a line.
    """

    place: int
    run: Run
    label: str
    logged: Mapping[str, Curve]
    faces: FaceErrors | None
    damage: tuple[str, ...] = ()

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
    return [_drawn(place, ranking.runs[place], names[place]) for place in order]


def _drawn(place: int, run: Run, label: str) -> Drawn:
    damage: list[str] = []
    logged: Mapping[str, Curve] = {}
    faces = None
    try:
        logged = bounded(metrics_csv.read(run.path))
    except ValueError as error:
        damage.append(shown(f"{label}: metrics.csv: {error}"))
    try:
        faces = tested.read(run.path)
    except ValueError as error:
        damage.append(shown(f"{label}: {error}"))
    return Drawn(place, run, label, logged, faces, tuple(damage))
