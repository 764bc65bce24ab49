"""What the end of a training says of curves that went wrong, and that it is silent about those that did not."""

import pytest

from fkd.training.runs.run_warnings import overfit_verdict, training_warnings

EPOCHS = 20
GOOD = [20 * 0.7**epoch + 4 for epoch in range(EPOCHS)]


def curves(nme: list[float], loss: list[float] | None = None) -> dict[str, dict[int, float]]:
    by_epoch = {"val/nme": nme, "val/loss": [value / 100 for value in nme] if loss is None else loss}
    return {name: dict(enumerate(values, start=1)) for name, values in by_epoch.items()}


def test_a_good_training_has_none() -> None:
    assert training_warnings(curves(GOOD), 4.0, 20.0) == []
    noisy = [value * (1.3 if epoch % 2 else 1.0) for epoch, value in enumerate(GOOD)]
    assert training_warnings(curves(noisy), 4.0, 20.0) == []


def test_a_training_of_one_epoch_or_without_curves_is_judged_by_its_test_alone() -> None:
    assert training_warnings({}) == []
    assert training_warnings(curves([30.0]), 18.9, 20.0) == []
    assert len(training_warnings({}, 20.1, 20.0)) == 1


@pytest.mark.parametrize(("nme", "word"), [(19.1, "hardly"), (20.0, "no"), (24.5, "no")])
def test_a_net_that_is_no_better_than_the_mean_face(nme: float, word: str) -> None:
    (line,) = training_warnings(curves(GOOD), nme, 20.0)
    assert line.startswith(
        f"the net is {word} better than the mean face (test NME {nme:.2f} %, mean face 20.00 %); try "
    )
    assert "debug=lr" in line


def test_an_error_that_explodes_is_said_once_with_its_epoch() -> None:
    (line,) = training_warnings(curves([22.0, 18.0, 1157.0, 900.0, *GOOD[3:], *[3.9] * 3]), 4.0, 20.0)
    assert line.startswith("val/nme jumped from 18 to 1.16e+03 % in epoch 3; try a lower optimizer.lr")
    assert training_warnings(curves([22.0, 18.0, 170.0, *GOOD[3:], *[3.9] * 3]), 4.0, 20.0) == []


def test_a_loss_below_zero_is_no_explosion() -> None:
    """As a likelihood may be: its fall from -1 to -20 is progress."""
    assert training_warnings(curves(GOOD, [1.0 - epoch for epoch in range(EPOCHS)]), 4.0, 20.0) == []


def test_a_first_epoch_that_stays_the_best() -> None:
    (line,) = training_warnings(curves([22.0, 24.0, 23.0]), 19.0, 21.0)
    assert line.startswith("the first of 3 epochs has the lowest val/loss")
    resumed = curves([22.0, 24.0, 23.0])
    assert len(training_warnings({name: {e + 4: v for e, v in c.items()} for name, c in resumed.items()})) == 1


def test_a_training_that_ends_while_its_error_falls() -> None:
    falling = [30 * 0.96**epoch for epoch in range(EPOCHS)]  # 4 % an epoch, 8 % in the last tenth
    (line,) = training_warnings(curves(falling), 13.0, 20.0)
    assert line.startswith("val/nme was still falling: from 14.99 to 13.81 % in the last 2 epochs; try more epochs")
    slowly = [30 * 0.98**epoch for epoch in range(EPOCHS)]
    assert training_warnings(curves(slowly), 13.0, 20.0) == []
    assert training_warnings(curves(falling[:4]), 13.0, 20.0) == []  # too few to tell
    every_third = {name: {3 * epoch: value for epoch, value in c.items()} for name, c in curves(falling).items()}
    assert "in the last 6 epochs" in training_warnings(every_third, 13.0, 20.0)[0]


@pytest.mark.parametrize(
    ("nme", "gives", "learns"),
    [(0.2, "coordinates", True), (1.2, "coordinates", False), (1.2, "heatmaps", True), (float("nan"), "bins", False)],
)
def test_overfitting_ends_with_a_verdict(nme: float, gives: str, learns: bool) -> None:
    line = overfit_verdict(nme, 10, gives)
    assert line.startswith("it can learn: " if learns else "it has not learned 10 faces: ")
    assert f"val/nme {nme:.2f} % on the 10 faces that it trained on" in line
