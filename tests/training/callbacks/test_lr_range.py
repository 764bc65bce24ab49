"""The range test of the learning rate."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from fkd.errors import UserError
from fkd.training.callbacks import LearningRateRange
from fkd.training.callbacks.lr_range import smoothed
from tests.training.test_module import fit, make


class Rates(pl.Callback):
    """The learning rate of each step that was taken."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: object) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_the_rate_rises_evenly_on_a_logarithmic_scale_and_then_ends(tmp_path: Path) -> None:
    finder, rates = LearningRateRange(1e-4, 1e-2, 10, str(tmp_path / "lr.png")), Rates()
    fit(make(), tmp_path, epochs=20, callbacks=[finder, rates])
    assert rates.seen == pytest.approx([1e-4 * 10 ** (2 * step / 9) for step in range(10)])
    assert (tmp_path / "lr.png").stat().st_size > 0


def test_a_training_that_explodes_ends_early_and_far_less_is_suggested(tmp_path: Path) -> None:
    finder, rates = LearningRateRange(1e-2, 1e6, 200, str(tmp_path / "lr.png")), Rates()
    fit(make(), tmp_path, epochs=200, callbacks=[finder, rates])
    assert len(rates.seen) < 200
    assert finder.suggestion is not None
    assert finder.suggestion < rates.seen[-1] / 10


def finder_with(path: Path, means: list[float]) -> LearningRateRange:
    """One that has seen losses of these running means, at rates from 1e-4 to 1."""
    finder = LearningRateRange(1e-4, 1.0, 41, str(path / "lr.png"))
    for number, mean in enumerate(means, start=1):
        before = smoothed(finder.losses)[-1] * (1 - 0.9 ** (number - 1)) if finder.losses else 0.0
        finder.losses.append((mean * (1 - 0.9**number) - 0.9 * before) / 0.1)
    np.testing.assert_allclose(smoothed(finder.losses), means)
    finder._is_over = True
    return finder


FALL = [1.0] * 14 + [1.0 - 0.05 * step for step in range(1, 9)]


def test_a_quarter_of_the_rate_is_suggested_at_which_the_mean_rises(tmp_path: Path) -> None:
    finder = finder_with(tmp_path, [*FALL, *[0.6] * 8, 0.62, 0.64, 0.66, 0.68, 0.7, 0.9])  # from 0.69 on
    assert finder.suggestion == pytest.approx(1e-4 * 10 ** (4 * (len(FALL) + 12) / 40) / 4)
    assert finder.obstacle == ""


def test_a_loss_far_above_the_mean_counts_as_much(tmp_path: Path) -> None:
    finder = finder_with(tmp_path, [*FALL, *[0.6] * 8])
    finder.losses += [0.95, 0.6, 0.6]
    assert finder.suggestion == pytest.approx(1e-4 * 10 ** (4 * (len(FALL) + 8) / 40) / 4)


def test_a_second_fall_after_the_loss_has_risen_says_nothing(tmp_path: Path) -> None:
    """As of a net that has come apart and then learns to give the mean face for every image."""
    start = [*FALL, *[0.6] * 8]
    once, twice = ([*start, *rest] for rest in ([0.72, 0.9], [0.72, 0.9, 0.5, 0.3, 0.2, 0.2]))
    assert finder_with(tmp_path, twice).suggestion == finder_with(tmp_path, once).suggestion


def test_a_loss_that_never_falls_or_never_rises_suggests_nothing(tmp_path: Path) -> None:
    for means in ([1.0] * 20 + [5.0], [1.0, 0.95] * 10):
        obstacle = finder_with(tmp_path, means).obstacle
        assert obstacle.startswith("the loss did not fall at any rate; debug=overfit")
    assert finder_with(tmp_path, FALL).obstacle == "no rate was too high; set callbacks.lr_range.high=1e+02"


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.3])
def test_noise_is_not_taken_for_a_fall_or_a_rise(tmp_path: Path, noise: float) -> None:
    """Losses of batches that scatter by 5 to 30 %: a net that learns from 1e-4 to 1e-2 on and then diverges."""
    suggestions, none = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        finder = LearningRateRange(1e-5, 1.0, 200, str(tmp_path / "lr.png"))
        level = np.interp(np.log10(finder.rates), [-4, -3, -2, -1], [1.0, 0.4, 0.4, 40.0])
        finder.losses = [*(level * rng.lognormal(0, noise, 200))]
        finder._is_over = True
        assert finder.suggestion is not None
        suggestions.append(finder.suggestion)
        finder.losses = [*rng.lognormal(0, noise, 200)]
        none += finder.suggestion is None
    assert np.quantile(suggestions, 0.1) > 1e-2 / 4 / 2
    assert np.quantile(suggestions, 0.9) < 1e-2 / 4 * 3
    assert none >= 38


def test_running_means_begin_with_the_first_value() -> None:
    losses = [4.0, 2.0, 8.0]
    weights = [[1.0], [0.9, 1.0], [0.81, 0.9, 1.0]]
    expected = [np.average(losses[: len(past)], weights=past) for past in weights]
    assert smoothed(losses) == pytest.approx(expected)


def test_the_epochs_of_the_trainer_do_not_cut_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finder, rates = LearningRateRange(1e-4, 1e-2, 10, str(tmp_path / "lr.png")), Rates()
    trainer = fit(make(), tmp_path, epochs=1, callbacks=[finder, rates])
    assert trainer.num_training_batches < 10
    assert len(rates.seen) == 10
    assert "learning rate: " in capsys.readouterr().out


class Cut(pl.Callback):
    """Ends a training early, as the clock may."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        trainer.should_stop = trainer.global_step >= 6


def test_a_test_that_was_cut_suggests_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finder = LearningRateRange(1e-4, 1e-2, 10, str(tmp_path / "lr.png"))
    fit(make(), tmp_path, callbacks=[finder, Cut()])
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith(
        "learning rate: nothing to suggest: training was interrupted after 6 of 10 batches (curve in "
    )
    assert (tmp_path / "lr.png").stat().st_size > 0


def test_a_rate_that_was_not_tried_is_not_suggested(tmp_path: Path) -> None:
    finder = finder_with(tmp_path, [*[1.0] * 10, 0.6, 0.6, 2.0])
    finder.rates = np.geomspace(1e-4, 2e-4, 41)
    assert finder.suggestion is not None
    assert finder.suggestion < 1e-4
    assert finder.obstacle.endswith(" was too high, and few were tried below; set callbacks.lr_range.low=1e-06")


@pytest.mark.parametrize("rates", [(0.0, 1.0), (1.0, 0.1), (1e-3, float("inf")), (float("nan"), 1.0)])
def test_a_range_that_is_none_is_refused(rates: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="expected 0 < low < high"):
        LearningRateRange(*rates, steps=50, path="x.png")
    with pytest.raises(UserError, match="steps: expected a whole number from 10 on, found 3"):
        LearningRateRange(1e-5, 1.0, steps=3, path="x.png")


def test_parts_keep_their_share_of_the_rate(tmp_path: Path) -> None:
    module = make()
    optimizer = torch.optim.SGD([{"params": module.parameters(), "lr_factor": 0.1}], lr=0.5)
    finder = LearningRateRange(1e-4, 1e-2, 10, str(tmp_path / "lr.png"))
    trainer = type("Trainer", (), {"optimizers": [optimizer]})()
    finder.on_train_batch_start(trainer, module, None, 0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_first_loss_that_is_no_number_is_said(tmp_path: Path, value: float) -> None:
    module, finder = make(), LearningRateRange(1e-4, 1e-2, 10, str(tmp_path / "lr.png"))
    next(module.parameters()).data.fill_(value)
    with pytest.raises(UserError, match=rf"^callbacks\.lr_range: expected a finite loss .* found {value}; look at "):
        fit(module, tmp_path, epochs=20, callbacks=[finder])
    assert len(finder.losses) == 1
