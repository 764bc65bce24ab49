"""hydra/sweeper=tpe: it finds minima, loses no trial when it is killed, and shares its study with other processes."""

import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from matplotlib.axes import Axes

from fkd.errors import UserError
from fkd.io.atomic import locked
from tests.conftest import PROJECT, Outcome

optuna = pytest.importorskip("optuna", reason="needs the extra sweep")

from optuna.distributions import CategoricalDistribution as Choice  # noqa: E402
from optuna.distributions import FloatDistribution as Float  # noqa: E402
from optuna.distributions import IntDistribution as Int  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from hydra_plugins.fkd_tpe_sweeper import _plots, _space, _study, _summary  # noqa: E402

TASK = '''
"""Leaves in result.json what a training would; its value is lowest at x = 1, kind = a."""
import json, os, time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

STATUSES = {"fails": "failed: no", "diverges": "stopped: epoch 2: val/loss is nan", "prunes": "stopped: pruned at 2"}
EDITED = {
    "has no objective": {"status": "done", "started": 5},
    "has text": {"status": "done", "objective": "x", "started": "2026-01-31", "seconds": []},
    "has a list": {"status": "done", "objective": [1]},
    "has NaN": {"status": "done", "objective": float("nan")},
    "has digits": {"status": "done", "objective": 10**400},
}
AT_FIRST = {"is interrupted": "stopped: interrupted", "fails at first": "failed: no"}

@hydra.main(version_base="1.3", config_path=str(Path(__file__).parent / "conf"), config_name="task")
def main(cfg):
    folder, number = Path(HydraConfig.get().runtime.output_dir), HydraConfig.get().job.num
    with (folder.parent / "calls.txt").open("a") as file:
        file.write(f"{number} {cfg.x} {cfg.kind} {os.getpid()}\\n")
    time.sleep(cfg.seconds)
    ending = cfg.endings[number] if number < len(cfg.endings) else "is done"
    if ending == "is killed":
        return
    if ending in AT_FIRST and not (folder / "result.json").exists():
        result = {"status": AT_FIRST[ending]}
    else:
        result = {"status": STATUSES.get(ending, "done"), "objective": (cfg.x - 1) ** 2 + 5 * (cfg.kind == "b")}
    (folder / "result.json").write_text(json.dumps(EDITED.get(ending, result)))

main()
'''
CONFIG = """
task_name: task
x: 0.0
kind: a
seconds: 0
endings: []
hydra:
  sweep:
    subdir: ${hydra.job.num}_x
"""
SPACE = ["x=interval(-5, 5)", "kind=a,b"]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A script with a config of its own and the project's sweeper."""
    sweeper = tmp_path / "conf" / "hydra" / "sweeper"
    sweeper.mkdir(parents=True)
    (sweeper / "tpe.yaml").write_text((PROJECT / "conf/hydra/sweeper/tpe.yaml").read_text())
    (tmp_path / "conf" / "task.yaml").write_text(CONFIG)
    path = tmp_path / "task.py"
    path.write_text(TASK)
    return path


@pytest.fixture
def sweep(script: Callable[..., Outcome], task: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs a sweep in this process; gives its folder."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*arguments: str, folder: str = "sweep", trials: int = 4) -> Path:
        script(task.with_suffix(""), "-m", *options(task.parent / folder, trials), *arguments)
        return task.parent / folder

    return run


def options(folder: Path, trials: int) -> list[str]:
    return ["hydra/sweeper=tpe", f"hydra.sweep.dir={folder}", f"hydra.sweeper.n_trials={trials}"]


def trials_of(folder: Path) -> list["optuna.trial.FrozenTrial"]:
    return optuna.load_study(study_name="task", storage=f"sqlite:///{folder}/study.db").get_trials()


def calls_of(folder: Path) -> list[list[str]]:
    """Number, x, kind and process of each job, in the order they began."""
    path = folder / "calls.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def basic_launcher() -> type[Launcher]:
    """The class that Hydra uses: it imports its plugins a second time."""
    return Plugins.instance().class_name_to_class["hydra._internal.core_plugins.basic_launcher.BasicLauncher"]


def parse(*overrides: str) -> tuple[list[str], _space.Space]:
    return _space.split(OverridesParser.create().parse_overrides(list(overrides)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k=tag(log, interval(1e-4, 1e-2))", Float(1e-4, 1e-2, log=True)),
        ("k=interval(1, 5)", Float(1, 5)),
        ("k=int(interval(1, 5))", Int(1, 5)),
        ("k=tag(log, int(interval(1, 64)))", Int(1, 64, log=True)),
        ("k=range(1, 5)", Int(1, 4)),
        ("k=range(16, 129, 16)", Int(16, 128, step=16)),
        ("k=range(5, 1, -2)", Int(3, 5, step=2)),
        ("k=range(0.0, 0.5, 0.1)", Float(0.0, 0.4, step=0.1)),
        ("k=choice(32, 64)", Choice(["32", "64"])),
        ("+k=simple,compact", Choice(["simple", "compact"])),
        ("k='a b',null,[1,2]", Choice(["'a b'", "null", "[1,2]"])),
    ],
)
def test_hydras_words_become_optunas(text: str, expected: object) -> None:
    fixed, space = parse("other=1", text)
    assert fixed == ["other=1"]
    assert list(space.values()) == [expected]
    key = text.split("=")[0]
    for override in next(_space.every_choice(space)), _space.overrides({key: getattr(expected, "low", "null")}, space):
        assert OverridesParser.create().parse_override(override[0]).key_or_group == key.lstrip("+")


def test_the_command_line_wins_over_the_preset() -> None:
    fixed, space = parse("lr=interval(0, 1)", "model=a,b", "lr=0.5", "~callbacks.x")
    assert fixed == ["lr=0.5", "~callbacks.x"]
    assert set(space) == {"model"}


def test_every_choice_is_composed_once() -> None:
    _, space = parse("a=x,y,z", "b=1,2", "c=interval(0.5, 1)")
    assert list(_space.every_choice(space)) == [
        ["a=x", "b=1", "c=0.5"],
        ["a=y", "b=2", "c=0.5"],
        ["a=z", "b=2", "c=0.5"],
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x=1"], "expected several values of a key"),
        (["x=range(5, 5)"], "x=range(5, 5): expected values"),
        (["x=tag(log, interval(0, 1))"], "x=tag(log, interval(0, 1)): expected values"),
        (["x=interval(0, 1)", "hydra.sweeper.n_trials=0"], "n_trials: expected a whole number from 1 on"),
    ],
)
def test_what_cannot_be_searched_is_said(sweep: Callable[..., Path], arguments: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep(*arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


STORAGES = {
    "no driver": ("postgresql+pg8000://me:secret@host/name", "no module pg8000; install it, e.g. pip install"),
    "another port": ("postgresql://me:secret@host:port/name", "expected a URL that SQLAlchemy takes, found another ("),
    "no URL": ("study.db", "expected a URL that SQLAlchemy takes, found another ("),
    "no such kind": ("redis://localhost", "expected a URL that SQLAlchemy takes, found another ("),
    "nothing": ("null", "expected a URL that SQLAlchemy takes, found another ("),
    "no database": ("sqlite:///text.db", "found none (file is not a database)"),
    "no folder": ("sqlite:///gone/study.db", "found none (unable to open database file)"),
    "a folder": ("sqlite:///folder.db", "found none (unable to open database file)"),
    "read only": ("sqlite:///file:kept.db?mode=ro&uri=true", "found none (attempt to write a readonly database)"),
}


@pytest.mark.parametrize("case", STORAGES)
def test_a_storage_that_cannot_be_used_is_said(
    sweep: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setitem(sys.modules, "pg8000", None)
    Path("text.db").write_text("no database")
    Path("folder.db").mkdir()
    optuna.create_study(storage="sqlite:///kept.db", study_name="another")
    url, words = STORAGES[case]
    with pytest.raises(UserError) as caught:
        sweep(*SPACE, f"hydra.sweeper.storage='{url}'" if url != "null" else "hydra.sweeper.storage=null")
    line = str(caught.value)
    assert line.startswith("hydra.sweeper.storage=")
    assert words in line
    assert "\n" not in line
    assert "secret" not in line
    assert [path.name for path in Path("sweep").iterdir()] == [".study.lock"]


def test_a_storage_that_is_lost_in_the_middle_is_said_and_the_sweep_goes_on(
    sweep: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = basic_launcher().launch

    def lossy(self: Launcher, job_overrides: list[list[str]], initial_job_idx: int) -> object:
        if initial_job_idx == 1:
            Path("sweep/study.db").rename("away.db")
            Path("sweep/study.db").mkdir()
        return launch(self, job_overrides, initial_job_idx=initial_job_idx)

    monkeypatch.setattr(basic_launcher(), "launch", lossy)
    with pytest.raises(UserError, match=r"hydra\.sweeper\.storage=.*unable to open"):
        sweep(*SPACE)
    monkeypatch.setattr(basic_launcher(), "launch", launch)
    Path("sweep/study.db").rmdir()
    Path("away.db").rename("sweep/study.db")
    folder = sweep(*SPACE)
    assert [trial.state for trial in trials_of(folder)] == [TrialState.COMPLETE] * 4


def test_a_choice_that_does_not_exist_is_said_before_the_first_job(sweep: Callable[..., Path]) -> None:
    with pytest.raises(Exception, match="nosuch"):
        sweep("x=interval(0, 1)", "nosuch=1,2", folder="none")
    assert not Path("none").exists()


def test_it_finds_a_minimum_that_its_random_start_does_not(sweep: Callable[..., Path]) -> None:
    folder = sweep(*SPACE, trials=20)
    trials = trials_of(folder)
    values = [(float(x) - 1) ** 2 + 5 * (kind == "b") for _, x, kind, _ in calls_of(folder)]
    assert [trial.value for trial in trials] == pytest.approx(values)
    assert min(values[5:]) < min(values[:5]) / 10
    assert [int(number) for number, *_ in calls_of(folder)] == list(range(20))
    assert (folder / "multirun.yaml").is_file()
    assert (folder / "history.png").stat().st_size > 5_000
    assert (folder / "slices.png").stat().st_size > 5_000
    kept = json.loads((folder / "search.json").read_text())
    assert [trial["value"] for trial in kept["trials"]] == sorted(trial.value for trial in trials)
    best = min(trials, key=lambda trial: trial.value)
    assert (kept["trials"][0]["number"], kept["trials"][0]["params"]) == (best.number, best.params)
    assert kept["space"].keys() == {"x", "kind"}
    assert not list(folder.glob(".parent_*"))
    (folder / ".parent_01234567.lock").touch()  # of a process that was killed
    sweep(*SPACE, trials=20)
    assert not list(folder.glob(".parent_*"))


def test_a_sweep_in_two_parts_tries_what_one_in_one_piece_tries(sweep: Callable[..., Path]) -> None:
    whole = calls_of(sweep(*SPACE, folder="whole", trials=6))
    sweep(*SPACE, folder="parts", trials=2)
    parts = calls_of(sweep(*SPACE, folder="parts", trials=6))
    assert [call[:3] for call in parts] == [call[:3] for call in whole]
    assert len({x for _, x, *_ in whole}) == 6
    other = calls_of(sweep(*SPACE, "hydra.sweeper.seed=1", folder="other", trials=2))
    assert not {x for _, x, *_ in whole} & {x for _, x, *_ in other}


def test_no_job_ends_the_sweep_and_each_ending_is_known(sweep: Callable[..., Path]) -> None:
    endings = ["fails at first", "fails", "diverges", "prunes", "is killed", "is interrupted"]
    folder = sweep(*SPACE, f"endings=[{','.join(endings)}]", trials=8)
    complete, unfinished, pruned = TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED
    expected = [unfinished, unfinished, pruned, pruned, unfinished, unfinished, complete, complete]
    assert [trial.state for trial in trials_of(folder)] == expected
    assert len(calls_of(folder)) == 8
    sweep(
        *SPACE, f"endings=[{','.join(endings)}]", trials=8
    )  # resumes what was interrupted, and runs what failed again
    expected[0] = expected[5] = complete
    assert [trial.state for trial in trials_of(folder)] == expected
    assert [int(number) for number, *_ in calls_of(folder)] == [*range(8), 0, 1, 4, 5]
    for number in "0145":
        one, again = (call[1:3] for call in calls_of(folder) if call[0] == number)
        assert one == again


def test_a_trial_that_is_done_without_an_objective_ends_no_sweep(sweep: Callable[..., Path]) -> None:
    endings = ["has no objective", "has text", "has a list", "has NaN", "has digits"]
    folder = sweep(*SPACE, f"endings=[{','.join(endings)}]", trials=7)
    states = [trial.state for trial in trials_of(folder)]
    assert states == [TrialState.RUNNING] * 5 + [TrialState.COMPLETE] * 2
    search = json.loads((folder / "search.json").read_text())
    assert search["date"] == "2026-01-31"
    assert [trial["status"] for trial in search["trials"]] == ["done"] * 2 + ["failed"] * 5
    for number, trial in enumerate(trials_of(folder)[:5]):  # what the sweep prints of it
        line = trial.user_attrs["status"]
        assert f"{folder}/{number}_x/result.json: expected a number as objective of a run that is done, found" in line
        assert line.endswith("remove the folder, and the trial is trained again")
        assert "\n" not in line


def test_a_study_with_a_trial_that_is_complete_without_a_value_is_refused(sweep: Callable[..., Path]) -> None:
    folder = sweep(*SPACE, trials=2)
    with sqlite3.connect(next(folder.glob("*.db"))) as database:
        database.execute("DELETE FROM trial_values WHERE trial_id = (SELECT MIN(trial_id) FROM trial_values)")
    with pytest.raises(UserError, match=r"expected a value of each complete trial, found none of trial 0"):
        sweep(*SPACE, trials=3)


def test_another_sweeps_study_is_refused(sweep: Callable[..., Path]) -> None:
    sweep(*SPACE, trials=1)
    for other in (["x=interval(-5, 6)", "kind=a,b"], [*SPACE, "seconds=0.01"], ["kind=a,b"]):
        with pytest.raises(UserError, match=r"expected the command that started this study.*hydra\.sweep\.dir="):
            sweep(*other, trials=2)


def test_a_study_whose_trials_are_elsewhere_is_refused(sweep: Callable[..., Path]) -> None:
    storage = "hydra.sweeper.storage=sqlite:///all.db"
    sweep(*SPACE, storage, folder="one", trials=2)
    with pytest.raises(UserError, match=r"expected the folder of the 2 trials of the study task.*study_name=NAME"):
        sweep(*SPACE, storage, folder="two", trials=2)
    assert len(calls_of(sweep(*SPACE, storage, "hydra.sweeper.study_name=two", folder="two", trials=2))) == 2
    Path("one").rename("moved")
    assert len(calls_of(sweep(*SPACE, storage, folder="moved", trials=3))) == 3


def test_a_command_that_is_refused_leaves_the_one_that_resume_gives(sweep: Callable[..., Path]) -> None:
    folder = sweep(*SPACE, trials=1)
    kept = (folder / "multirun.yaml").read_bytes()
    with pytest.raises(UserError, match="that started this study"):
        sweep("x=interval(-5, 6)", trials=2)
    assert (folder / "multirun.yaml").read_bytes() == kept
    sweep(*SPACE, trials=2)
    assert b"n_trials: 2" in (folder / "multirun.yaml").read_bytes()


def test_missing_optuna_is_said(sweep: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("hydra_plugins.fkd_tpe_sweeper._")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(f"hydra_plugins.fkd_tpe_sweeper.{name.rsplit('.')[-1]}", raising=False)
    monkeypatch.setitem(sys.modules, "optuna.distributions", None)
    with pytest.raises(UserError, match=r"expected Optuna, found no module optuna.* pip install 'fkd\[sweep\]'"):
        sweep(*SPACE)


@pytest.fixture
def study(tmp_path: Path) -> _study.SharedStudy:
    """Four trials: two trained to their end, of which #2 is the better one; one pruned, one failed."""
    _, space = parse("kind=a,b", "lr=tag(log, interval(1e-4, 1e-2))", "size=range(16, 49, 16)")
    study = optuna.create_study(study_name="task")
    for number, (value, status) in enumerate(
        [(0.5, "done"), (None, "stopped: pruned at 2"), (0.25, "done"), (None, "failed: no")]
    ):
        trial = optuna.trial.create_trial(
            params={"kind": "b", "lr": 10.0 ** (number / 2 - 4), "size": 32},
            distributions=dict(space),
            state=TrialState.COMPLETE if value else TrialState.PRUNED if number == 1 else TrialState.RUNNING,
            value=value,
            user_attrs={"status": status, "parent": "me"},
        )
        study.add_trial(trial)
        (tmp_path / f"{number}_kind=b").mkdir()
    return _study.SharedStudy(tmp_path, study, space, "me")


def test_its_closing_lines_lead_to_the_folder_and_name_values_as_the_table_does(
    study: _study.SharedStudy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _summary.log_trial(study, 0, "val/nme")
    _summary.log_trial(study, 1, "val/nme")
    _summary.log_sweep(study, [], "val/nme")
    assert [record.getMessage() for record in caplog.records] == [
        "\t#0 : val NME 0.50 % (best: #2, val NME 0.25 %)",
        "\t#1 : stopped: pruned at 2 (best: #2, val NME 0.25 %)",
        f"4 trials in {study.folder}: 2 done, 1 pruned, 1 failed",
        f"resume={study.folder} continues the trials that were interrupted or failed",
        f"best: #2, val NME 0.25 %, in {study.folder}/2_kind=b",
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Axes]]:
    """Name of an image -> its panels, as they were saved."""
    panels: dict[str, list[Axes]] = {}
    save = _plots._save

    def saved(axes: list[Axes], width: float, path: Path) -> None:
        save(axes, width, path)
        panels[path.name] = axes

    monkeypatch.setattr(_plots, "_save", saved)
    return panels


def places(axes: Axes) -> list[list[float]]:
    return [point for points in axes.collections for point in np.asarray(points.get_offsets()).tolist()]


def test_the_history_has_the_completed_trials_and_the_best_so_far(
    study: _study.SharedStudy, drawn: dict[str, list[Axes]]
) -> None:
    _plots.draw(study.study, "val loss", study.folder)
    (axes,) = drawn["history.png"]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (
        "Optimization History Plot",
        "Trial",
        "val loss",
    )
    assert places(axes) == [[0, 0.5], [2, 0.25]]
    assert axes.lines[0].get_xydata().tolist() == [[0, 0.5], [1, 0.5], [2, 0.25], [3, 0.25]]


def test_the_slices_have_axes_of_the_kind_of_each_key(study: _study.SharedStudy, drawn: dict[str, list[Axes]]) -> None:
    _plots.draw(study.study, "val loss", study.folder)
    kind, rate, size = drawn["slices.png"]
    assert [axes.get_xlabel() for axes in (kind, rate, size)] == ["kind", "lr", "size"]
    assert [axes.get_xscale() for axes in (kind, rate, size)] == ["linear", "log", "linear"]
    assert kind.get_ylabel() == "val loss"
    assert [label.get_text().strip("'") for label in kind.get_xticklabels()] == ["b"]
    assert places(rate) == [[pytest.approx(1e-4), 0.5], [pytest.approx(1e-3), 0.25]]
    assert places(size) == [[32, 0.5], [32, 0.25]]


@pytest.mark.parametrize("powers", [(-4.0, -3.0), (-3.4, -3.0), (-9.0, 0.0)])
def test_logarithmic_axes_have_few_labels(
    study: _study.SharedStudy, drawn: dict[str, list[Axes]], powers: tuple[float, float]
) -> None:
    rate = optuna.distributions.FloatDistribution(1e-9, 1, log=True)
    new = optuna.create_study()
    for power in powers:
        new.add_trial(optuna.trial.create_trial(params={"lr": 10**power}, distributions={"lr": rate}, value=1.0))
    _plots.draw(new, "val loss", study.folder)
    (axes,) = drawn["slices.png"]
    low, high = axes.get_xlim()
    ticks = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
    labels = [tick.get_text() for tick in ticks if tick.get_text() and low <= tick.get_position()[0] <= high]
    assert 2 <= len(labels) <= 8
    assert all(label.strip("0.e-")[0] in "125" for label in labels) or high < 5 * low


def test_values_that_are_not_finite_are_left_out_of_the_images(
    study: _study.SharedStudy, drawn: dict[str, list[Axes]], recwarn: pytest.WarningsRecorder
) -> None:
    kept = {"params": {"kind": "a", "lr": 0.01, "size": 16}, "distributions": dict(study.space)}
    study.study.add_trial(optuna.trial.create_trial(value=math.inf, **kept))
    study.study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL, **kept))
    study.study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))  # killed while it drew its values
    recwarn.clear()
    before = dict(mpl.rcParams)
    _summary.log_sweep(study, [], "val/nme")
    assert not recwarn.list
    assert dict(mpl.rcParams) == before
    assert not plt.get_fignums()
    for axes in [*drawn["history.png"], *drawn["slices.png"]]:
        assert [y for _, y in places(axes) if math.isfinite(y)] == [0.5, 0.25]
        assert np.isfinite(axes.get_ylim()).all()
    assert drawn["history.png"][0].get_ylabel() == "val NME (inter-ocular, %)"


def test_without_two_finite_values_there_are_no_images(study: _study.SharedStudy) -> None:
    one = optuna.create_study()
    for value in (math.inf, 0.5, math.inf):
        one.add_trial(optuna.trial.create_trial(value=value))
    _summary.log_sweep(replace(study, study=one), [], "val/nme")
    assert not list(study.folder.glob("*.png"))


def test_a_trial_that_is_far_off_does_not_press_the_others_together(
    study: _study.SharedStudy, drawn: dict[str, list[Axes]]
) -> None:
    _plots.draw(study.study, "val loss", study.folder)
    assert {axes.get_yscale() for image in drawn.values() for axes in image} == {"linear"}
    kept = {"params": {"kind": "a", "lr": 0.01, "size": 16}, "distributions": dict(study.space)}
    study.study.add_trial(optuna.trial.create_trial(value=500.0, **kept))
    _plots.draw(study.study, "val loss", study.folder)
    assert {axes.get_yscale() for image in drawn.values() for axes in image} == {"log"}


@pytest.mark.parametrize("lost", [False, True], ids=["all come back", "one is lost"])
def test_jobs_are_launched_together(sweep: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    launch, batches = basic_launcher().launch, []

    def recorded(self: Launcher, job_overrides: list[list[str]], initial_job_idx: int) -> object:
        batches.append((initial_job_idx, len(job_overrides)))
        if lost and initial_job_idx == 0:
            launch(self, job_overrides[:2], initial_job_idx=0)
            raise RuntimeError("out of memory")
        return launch(self, job_overrides, initial_job_idx=initial_job_idx)

    monkeypatch.setattr(basic_launcher(), "launch", recorded)
    folder = sweep(*SPACE, "hydra.sweeper.n_jobs=3", trials=7)
    assert batches == [(0, 3), (3, 3), (6, 1)]
    states = [trial.state for trial in trials_of(folder)]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING if lost else TrialState.COMPLETE] + [states[0]] * 4


def test_a_launcher_that_starts_nothing_ends_the_sweep(
    sweep: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no sbatch")

    monkeypatch.setattr(basic_launcher(), "launch", broken)
    with pytest.raises(RuntimeError, match="no sbatch"):
        sweep(*SPACE)
    assert [trial.state for trial in trials_of(Path("sweep"))] == [
        TrialState.RUNNING
    ]  # the next command begins with it


def test_a_trial_belongs_to_the_process_that_claimed_it(tmp_path: Path) -> None:
    fixed, space = parse("x=interval(0, 1)")
    sampler = {"_target_": "optuna.samplers.TPESampler"}

    def opened() -> object:
        return _study.opened(tmp_path, f"sqlite:///{tmp_path}/study.db", "task", fixed, space)

    def claim(study: _study.SharedStudy) -> list[int]:
        return [trial.number for trial in study.claim(n_jobs=2, n_trials=5, sampler=sampler, seed=0)]

    with opened() as one:
        assert claim(one) == [0, 1]
        with opened() as two:
            assert claim(two) == [2, 3]
            assert claim(one) == [4]
            assert claim(two) == []
        assert claim(one) == [2, 3]  # the other one has gone
    (tmp_path / "1_x").mkdir()
    with (
        opened() as three,
        locked(tmp_path / "1_x" / ".lock", wait=False),
    ):  # its job, started by another machine, lives
        assert claim(three) == [0]
        assert claim(three) == [2, 3]
        assert claim(three) == [4]
        assert claim(three) == []


def start(task: Path, folder: Path, trials: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(task), "-m", *options(folder, trials), *SPACE, "seconds=0.2"],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


def test_a_killed_sweep_goes_on_in_two_processes_without_loss_or_repetition(task: Path) -> None:
    folder, trials = task.parent / "sweep", 12
    killed = start(task, folder, trials)
    deadline = time.monotonic() + 60
    while len(calls_of(folder)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    before = {call[0] for call in calls_of(folder)}
    done = {path.parent.name.split("_")[0] for path in folder.glob("*/result.json")}
    assert len(before) >= 3
    both = [start(task, folder, trials) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]

    calls = calls_of(folder)
    assert {int(call[0]) for call in calls} == set(range(trials))
    assert len(calls) <= trials + len(before - done) + 1  # the one that was told of at no time may be asked once more
    assert {call[3] for call in calls[len(before) :]} == {str(process.pid) for process in both}
    for number in range(trials):
        assert len({(x, kind) for n, x, kind, _ in calls if int(n) == number}) == 1
    assert [trial.state for trial in trials_of(folder)] == [TrialState.COMPLETE] * trials


def test_trainings_are_compared_and_pruned(script: Callable[..., Outcome], tmp_path: Path) -> None:
    small = ["data.subjects=12", "data.frames=3", "data.size=96", "crop.size=32", "data.num_workers=0", "test=false"]
    rates = "optimizer.lr=choice(1e-2,1e-8)"
    outcome = script(
        "train", "sweep=tpe", *small, "trainer=cpu", "trainer.max_epochs=3", rates, "loss=l1", "data.batch_size=8",
        "model=compact", "callbacks.overlays=null", "hydra.sweeper.n_trials=4",
        "callbacks.pruning.pruner.n_startup_trials=1", "callbacks.pruning.pruner.n_warmup_steps=1",
        "hydra.sweep.dir=real",
    )  # fmt: skip
    folder = tmp_path / "real"
    results = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/result.json")}
    study = optuna.load_study(study_name="train", storage=f"sqlite:///{folder}/study.db")
    assert len(results) == 4, outcome.err
    for trial in study.get_trials():
        name = next(name for name in results if name.split("_")[0] == str(trial.number))
        if results[name]["status"] == "done":
            assert trial.value == results[name]["objective"] == pytest.approx(results[name]["best"]["val/nme"])
            assert sorted(trial.intermediate_values) == [0, 1, 2]
        else:
            assert results[name]["status"].startswith("stopped: pruned at epoch 2")
            assert trial.state == TrialState.PRUNED
    assert study.best_trial.params["optimizer.lr"] == "0.01"
    assert TrialState.PRUNED in [trial.state for trial in study.get_trials()]
