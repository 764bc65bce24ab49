"""The search space: Hydra's overrides as Optuna's distributions, and parameters as overrides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fkd.errors import UserError
from fkd.library_internals.hydra import IntervalSweep, Override, RangeSweep

Space = Mapping[str, BaseDistribution]
"""Config key -> distribution of its values, in the order of the command line."""


def split(overrides: Sequence[Override]) -> tuple[list[str], Space]:
    """Split overrides into those that all jobs share and the search space; the last override of a key counts.

    Raises:
        UserError: a range is empty, or nothing varies.
    """
    last = {override.get_key_element(): override for override in overrides}
    space = {key: _distribution(override) for key, override in last.items() if override.is_sweep_override()}
    if not space:
        raise UserError(
            "hydra/sweeper=tpe: expected several values of a key, found fixed values only; "
            "add e.g. 'optimizer.lr=tag(log, interval(1e-4, 1e-2))' or model=simple,compact"
        )
    fixed = [
        key if override.is_delete() else f"{key}={override.get_value_element_as_str()}"
        for key, override in last.items()
        if key not in space
    ]
    return fixed, space


def overrides(params: Mapping[str, Any], space: Space) -> list[str]:
    """The parameters of a trial as overrides; six digits of a number keep the names of folders short."""
    return [f"{key}={_text(params[key])}" for key in space]


def every_choice(space: Space) -> Iterator[list[str]]:
    """Overrides of a few trials that cover every choice of each key; numbers have their lowest value."""
    values = [
        distribution.choices if isinstance(distribution, CategoricalDistribution) else [distribution.low]  # type: ignore[attr-defined]
        for distribution in space.values()
    ]
    for i in range(max(len(choices) for choices in values)):
        yield [f"{key}={_text(choices[min(i, len(choices) - 1)])}" for key, choices in zip(space, values, strict=True)]


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, RangeSweep):
            numbers = sorted(value.range())
            step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
            return _numeric(numbers)(min(numbers), max(numbers), step=step)
        if isinstance(value, IntervalSweep):
            low: Any = value.start  # integers in int(interval(1, 9))
            high: Any = value.end
            return _numeric([low, high])(low, high, log="log" in value.tags)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise UserError(
            f"{override.input_line}: expected values to choose from, found none that fit: {error}"
        ) from None


def _numeric(numbers: Sequence[Any]) -> type[IntDistribution] | type[FloatDistribution]:
    return IntDistribution if all(isinstance(number, int) for number in numbers) else FloatDistribution


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
