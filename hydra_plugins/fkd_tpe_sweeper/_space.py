"""The search space, from Hydra's words to Optuna's and back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fkd.errors import UserError
from fkd.library_internals.hydra import IntervalSweep, Override, RangeSweep

Space = Mapping[str, BaseDistribution]
"""Key of the config -> its values, in the order of the command line."""


def split(overrides: Sequence[Override]) -> tuple[list[str], Space]:
    """What all jobs share, as overrides, and what differs between them. Of one key's overrides the last one counts.

    Raises:
        UserError: a range is empty, or nothing is to be varied.
    """
    last = {override.get_key_element(): override for override in overrides}
    space = {key: _distribution(override) for key, override in last.items() if override.is_sweep_override()}
    if not space:
        raise UserError(
            "hydra/sweeper=tpe: expected something to vary, found fixed values only; "
            "add e.g. 'optimizer.lr=tag(log, interval(1e-4, 1e-2))' or model=simple,compact"
        )
    fixed = [
        key if override.is_delete() else f"{key}={override.get_value_element_as_str()}"
        for key, override in last.items()
        if key not in space
    ]
    return fixed, space


def overrides(params: Mapping[str, Any], space: Space) -> list[str]:
    """The values of one trial as overrides; numbers to six digits, so that names of folders stay short."""
    return [f"{key}={_text(params[key])}" for key in space]


def every_choice(space: Space) -> Iterator[list[str]]:
    """A few trials' overrides that have every choice in one of them, and of numbers the lowest."""
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
            low: Any = value.start  # numbers of one kind, whole ones in int(interval(1, 9))
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
