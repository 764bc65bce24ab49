"""What was trained: runs that differ in their split and seed only are one entry."""

import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fkd.comparison import Run, read
from fkd.comparison.columns import words
from fkd.comparison.settings import Settings, canonical, chosen, differing
from fkd.errors import UserError
from fkd.resume import is_learned

_OF_FIRST = {"weights", "seed", "data.split_seed", "test", "boxes"}
"""Settings in which runs may differ and their weights still be a start of the same kind; `weights` are looked into."""
_OF_RUNS = _OF_FIRST | {"data.split"}
"""Those in which the runs of one entry may, each of which is scored on its own split."""
_NAMED = {"model", "experiment", "data", "trainer.max_epochs"}
"""Settings that stand in every name, or beside it."""


@dataclass(frozen=True)
class Training:
    """A run with all that came before it.

    Attributes:
        run: with its best checkpoint.
        firsts: the run whose weights it began with, the one whose weights that began with, and so on.
        lost: the weights at the very beginning, if there were any whose run is gone.
    """

    run: Run
    firsts: tuple[Run, ...]
    lost: str | None

    @property
    def settings(self) -> Settings:
        """The run's own that trainings of one recipe share."""
        return _without(_OF_RUNS, self.run)

    @property
    def settings_of_firsts(self) -> list[Settings]:
        """The same of each run that came before: its split counts, since its weights have seen these people."""
        return [_without(_OF_FIRST, first) for first in self.firsts]

    @property
    def recipe(self) -> Hashable:
        """Equal for trainings of one recipe."""
        stages = (self.settings, *self.settings_of_firsts)
        return self.lost, *(tuple(sorted((key, canonical(value)) for key, value in one.items())) for one in stages)

    @property
    def seconds(self) -> float | None:
        """That all its runs took; None if that is unknown."""
        return None if self.lost is not None else _total([run.seconds for run in (self.run, *self.firsts)])


@dataclass(frozen=True)
class Entry:
    """Trainings of one recipe.

    Attributes:
        model: the config's name of the network.
        name: the recipe in words.
        trainings: at least one.
    """

    model: str
    name: str
    trainings: Sequence[Training]

    @property
    def minutes(self) -> float | None:
        """Of one training on average, with those of the weights it began with; None if that is unknown."""
        seconds = _total([training.seconds for training in self.trainings])
        return None if seconds is None else seconds / len(self.trainings) / 60


def entries(folders: Sequence[Path], data: str) -> tuple[list[Entry], dict[str, str]]:
    """What was trained on `data` in and below the folders; and the runs left out, with the reason.

    Raises:
        UserError: there is no run that can be used.
    """
    done, left_out = [], {}
    for run in read(folders):
        if run.settings.get("data") != data:
            left_out[run.name] = f"data={run.settings.get('data')}"
        elif run.status != "done":
            left_out[run.name] = run.status + (run.reason and f": {run.reason}")
        elif not best(run).is_file():
            left_out[run.name] = f"{best(run)} is not there"
        else:
            done.append(run)
    if not done:
        where = ", ".join(map(str, folders))
        raise UserError(
            f"runs={where}: expected runs with data={data} that are done, found none; train some, or give theirs"
        )
    groups, origins = defaultdict[Hashable, list[Training]](list), _origins(done)
    for run in done:
        training = _training(run, origins)
        groups[training.recipe].append(training)
    rows = list(groups.values())
    names = _names([trainings[0] for trainings in rows])
    return [Entry(_model(row[0]), name, row) for row, name in zip(rows, names, strict=True)], left_out


def best(run: Run) -> Path:
    """The checkpoint of a run's best epoch."""
    return run.path / "checkpoints" / "best.ckpt"


def _training(run: Run, origins: Mapping[Path, Run]) -> Training:
    firsts, last = list[Run](), run
    while (folder := _origin(last)) is not None and folder in origins and origins[folder] not in firsts:
        last = origins[folder]
        firsts.append(last)
    weights = last.settings.get("weights")
    return Training(run, tuple(firsts), None if weights is None else str(weights))


def _origins(runs: Sequence[Run]) -> dict[Path, Run]:
    """Folder -> run: those whose weights the runs began with, and so on, as far as they are still there."""
    folders, found = set[Path](), dict[Path, Run]()
    while new := {folder for run in (*runs, *found.values()) if (folder := _origin(run)) is not None} - folders:
        folders |= new
        there = [folder for folder in sorted(folders) if (folder / "result.json").is_file()]
        # all at once, so that what only some of them name is filled in for the others
        found = {run.path: run for run in (read(there) if there else ()) if run.settings}
    return found


def _origin(run: Run) -> Path | None:
    """Where the run is whose weights a run began with, if it did and they lie in one."""
    weights = run.settings.get("weights")
    return None if weights is None else Path(str(weights)).resolve().parent.parent


def _names(trainings: Sequence[Training]) -> list[str]:
    """What sets each apart, of the weights they began with only where they would else look alike."""
    short = [(_model(one), _name(one, trainings, [one])) for one in trainings]
    alike = [[other for other, name in zip(trainings, short, strict=True) if name == mine] for mine in short]
    return [_name(one, trainings, others) for one, others in zip(trainings, alike, strict=True)]


def _name(one: Training, trainings: Sequence[Training], alike: Sequence[Training]) -> str:
    """A recipe in words that set it apart from all those of its net and experiment, and its first weights from some."""
    kin = [other.settings for other in trainings if _kind(other) == _kind(one)]
    parts = [str(one.settings.get("experiment") or "default"), _apart(one.run, kin)]
    return ", ".join(filter(None, [*parts, _beginning(one, alike), _epochs(one.run)]))


def _beginning(one: Training, alike: Sequence[Training]) -> str:
    stages = []
    for first, others in zip(one.firsts, zip(*(other.settings_of_firsts for other in alike), strict=True), strict=True):
        apart = _apart(first, others)
        stages.append(f"{first.settings.get('data')} {_epochs(first)}" + (apart and f" ({apart})"))
    if one.lost is not None:
        stages.append("other weights" + (f" ({one.lost})" if len({other.lost for other in alike}) > 1 else ""))
    return f"{' and '.join(reversed(stages))} first" if stages else ""


def _apart(run: Run, others: Sequence[Settings]) -> str:
    """In which of its settings a run, as far as it was given them, differs from others."""
    given = {*chosen(json.loads((run.path / "result.json").read_bytes())), "recipe"}
    return words(run.settings, [key for key in differing(others) if key in given - _NAMED])


def _kind(one: Training) -> tuple[str, str]:
    return _model(one), str(one.settings.get("experiment"))


def _model(one: Training) -> str:
    return str(one.settings.get("model"))


def _epochs(run: Run) -> str:
    count = run.settings.get("trainer.max_epochs")
    return f"{count} epoch{'' if count == 1 else 's'}"


def _without(keys: set[str], run: Run) -> dict[str, object]:
    return {key: value for key, value in run.settings.items() if is_learned(key) and key not in keys}


def _total(values: Sequence[float | None]) -> float | None:
    """The sum, unless one is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
