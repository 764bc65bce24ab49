"""Pruning: a job that is worse than its sweep's others ends, and only such a one."""

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fkd.errors import Pruned
from fkd.training.callbacks.pruning import Pruning

optuna = pytest.importorskip("optuna", reason="needs the extra sweep")

from fkd.training.optuna_storage import open_storage  # noqa: E402

NAME = "faces"


class Strategy:
    """One process of several: what it decides, and what the others did."""

    def __init__(self, others: bool = False) -> None:
        self.others = others

    def reduce_boolean_decision(self, decision: bool, all: bool) -> bool:
        assert not all
        return decision or self.others


def validate(
    callback: Pruning, epoch: int, nme: float, *, others: bool = False, first: bool = True, **state: int
) -> None:
    """What Lightning does after the validation of an epoch, counted from 0; one has ten steps."""
    trainer = SimpleNamespace(
        state=SimpleNamespace(fn="validate" if state.get("validates") else "fit"),
        sanity_checking=state.get("checks", False),
        max_epochs=state.get("max_epochs", -1),
        max_steps=state.get("max_steps", -1),
        should_stop=bool(state.get("should_stop")),
        global_step=10 * (epoch + 1),
        current_epoch=epoch,
        callback_metrics={"val/nme": torch.tensor(nme)},
        strategy=Strategy(others),
        is_global_zero=first,
    )
    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A study in which three trials went from 20 % by 2 % an epoch, and a fourth runs."""
    url = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name=NAME, storage=open_storage(url), direction="minimize")
    for number in range(3):
        trial = study.ask()
        for epoch in range(5):
            trial.report(20.0 - 2 * epoch + number - 1, epoch)
        study.tell(trial, 12.0)
    study.ask()
    return url


def pruning(storage: str, **options: int) -> Pruning:
    return Pruning(storage, NAME, 3, optuna.pruners.MedianPruner(n_startup_trials=3, **options))


def reported(storage: str) -> dict[int, float]:
    return optuna.load_study(study_name=NAME, storage=storage).get_trials()[3].intermediate_values


def test_a_trial_ends_in_the_epoch_in_which_it_falls_behind_the_median(storage: str) -> None:
    callback = pruning(storage)
    for epoch, nme in enumerate((19.9, 17.9, 15.9)):
        validate(callback, epoch, nme)
    with pytest.raises(Pruned, match=r"^pruned at epoch 4: val/nme 15\.80 %"):  # its best, 15.8, against a median of 14
        validate(callback, 3, 15.8)
    assert reported(storage) == pytest.approx({0: 19.9, 1: 17.9, 2: 15.9, 3: 15.8})


def test_epochs_of_the_warm_up_are_given_to_every_trial(storage: str) -> None:
    callback = pruning(storage, n_warmup_steps=2)
    validate(callback, 0, 90.0)
    validate(callback, 1, 90.0)
    with pytest.raises(Pruned, match="epoch 3"):
        validate(callback, 2, 90.0)


@pytest.mark.parametrize("end", [{"max_epochs": 3}, {"max_steps": 30}, {"should_stop": True}], ids=str)
def test_the_last_epoch_is_reported_but_not_pruned(storage: str, end: dict[str, int]) -> None:
    validate(pruning(storage), 2, 90.0, **end)
    assert reported(storage) == {2: 90.0}
    with pytest.raises(Pruned, match="epoch 4"):
        validate(pruning(storage), 3, 90.0, **{key: value + 20 for key, value in end.items() if key != "should_stop"})


def test_an_epoch_that_comes_twice_is_compared_but_not_reported_again(storage: str) -> None:
    validate(pruning(storage), 0, 10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate(pruning(storage), 0, 10.5)
    assert reported(storage) == {0: 10.0}


def test_all_processes_leave_when_the_first_one_does(storage: str) -> None:
    validate(pruning(storage), 0, 90.0, first=False)  # only the first one asks
    assert reported(storage) == {}
    with pytest.raises(Pruned):
        validate(pruning(storage), 0, 1.0, first=False, others=True)


@pytest.mark.parametrize("state", ["validates", "checks"])
def test_validations_that_are_no_part_of_a_training_do_not_count(storage: str, state: str) -> None:
    validate(pruning(storage), 0, 90.0, **{state: True})
    assert reported(storage) == {}


def test_a_job_that_is_run_again_after_its_sweep_trains_to_its_end(storage: str) -> None:
    optuna.load_study(study_name=NAME, storage=storage).tell(3, state=optuna.trial.TrialState.FAIL)
    validate(pruning(storage), 0, 90.0)
    assert reported(storage) == {}


@pytest.mark.parametrize("fault", ["no database", "no study", "no driver", "no host"])
def test_a_study_that_cannot_be_reached_costs_no_training(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    url = {"no driver": "postgresql+pg8000://me:secret@host/name", "no host": "sqlite:////gone/study.db"}.get(fault)
    if fault == "no database":
        (tmp_path / "study.db").write_bytes(b"no database")
    elif fault == "no study":
        optuna.delete_study(study_name=NAME, storage=storage)
    monkeypatch.setitem(sys.modules, "pg8000", None)
    with pytest.warns(UserWarning, match="epoch 1 is not compared with other trials: hydra.sweeper.storage=") as caught:
        validate(pruning(url or storage), 0, 90.0)
    assert "secret" not in str(caught[0].message)


def test_a_hiccup_costs_one_epochs_comparison(storage: str, tmp_path: Path) -> None:
    callback = pruning(storage)
    (tmp_path / "study.db").rename(tmp_path / "away.db")
    (tmp_path / "study.db").mkdir()
    with pytest.warns(UserWarning, match="unable to open database file"):
        validate(callback, 0, 19.0)
    (tmp_path / "study.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "study.db")
    with pytest.raises(Pruned, match="epoch 2"):
        validate(callback, 1, 19.0)
    assert reported(storage) == {1: 19.0}
