"""Warnings about a finished training that failed or ended too early."""

from collections.abc import Iterator, Mapping

from fkd.training.runs.metrics_csv import Curve

_JUMP = 10.0  # a `val/nme` above the lowest so far times this has exploded
_STEEP = 0.05  # a larger relative fall of `val/nme` in the last tenth of the epochs: training ended too early
_BARELY = 0.95  # a test NME above this share of the mean face's is no real improvement
_FEWEST = 5  # epochs needed to see whether `val/nme` was still falling


def training_warnings(
    curves: Mapping[str, Curve], test_nme: float | None = None, mean_shape_nme: float | None = None
) -> list[str]:
    """One line for each sign that a training failed or ended too early, with a suggestion.

    Args:
        curves: "val/loss" and "val/nme" by epoch, as far as they were logged.
        test_nme: NME of the best epoch in percent of the inter-ocular distance; None without a test.
        mean_shape_nme: NME of the mean face on the same test faces.
    """
    return [*_no_better(test_nme, mean_shape_nme), *_exploded(curves), *_first_is_best(curves), *_still_falling(curves)]


def overfit_verdict(val_nme: float, faces: int, gives: str) -> str:
    """Whether a net that was to overfit a few faces has done so, in one line.

    Args:
        val_nme: of its best epoch on these faces, percent.
        faces: their number.
        gives: what the net's codec gives; decoded heatmaps are less exact.
    """
    limit = 1.5 if gives == "heatmaps" else 1.0
    found = f"val/nme {val_nme:.2f} % on the {faces} faces that it trained on"
    if val_nme < limit:
        return f"it can learn: {found}, below {limit:g} %"
    return (
        f"it has not learned {faces} faces: {found}, expected below {limit:g} %; try another optimizer.lr (debug=lr "
        "suggests one) or more epochs, or look for a mistake in net, codec or loss"
    )


def _no_better(test_nme: float | None, mean_shape_nme: float | None) -> Iterator[str]:
    if test_nme is not None and mean_shape_nme is not None and test_nme > _BARELY * mean_shape_nme:
        word = "no" if test_nme >= mean_shape_nme else "hardly"
        yield (
            f"the net is {word} better than the mean face (test NME {test_nme:.2f} %, mean face "
            f"{mean_shape_nme:.2f} %); try debug=lr for a learning rate, debug=overfit to see whether it can learn, or "
            "more epochs (trainer.max_epochs)"
        )


def _exploded(curves: Mapping[str, Curve]) -> Iterator[str]:
    lowest = float("inf")
    for epoch, value in sorted(curves.get("val/nme", {}).items()):
        if value > _JUMP * lowest:
            yield (
                f"val/nme jumped from {lowest:.3g} to {value:.3g} % in epoch {epoch}; try a lower optimizer.lr "
                "(debug=lr suggests one)"
            )
            return
        lowest = min(lowest, value)


def _first_is_best(curves: Mapping[str, Curve]) -> Iterator[str]:
    losses = curves.get("val/loss", {})
    if len(losses) > 1 and min(losses, key=lambda epoch: losses[epoch]) == min(losses):
        yield (
            f"the first of {len(losses)} epochs has the lowest val/loss: nothing was learned after it; try a lower "
            "optimizer.lr (debug=lr suggests one)"
        )


def _still_falling(curves: Mapping[str, Curve]) -> Iterator[str]:
    curve = sorted(curves.get("val/nme", {}).items())
    if len(curve) < _FEWEST:
        return
    last = max(1, round(len(curve) / 10))
    before, after = (min(value for _, value in part) for part in (curve[:-last], curve[-last:]))
    if after < (1 - _STEEP) * before:
        epochs = curve[-1][0] - curve[-last - 1][0]
        yield (
            f"val/nme was still falling: from {before:.2f} to {after:.2f} % in the last "
            f"{'epoch' if epochs == 1 else f'{epochs} epochs'}; try more epochs (trainer.max_epochs)"
        )
