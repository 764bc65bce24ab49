"""Undocumented parts of Hydra: the parser of overrides."""

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

__all__ = ["IntervalSweep", "Override", "RangeSweep", "parse"]


def parse(overrides: Sequence[str], config_loader: ConfigLoader | None = None) -> list[Override]:
    """Parse overrides such as ``model=a,b`` into key and values; Hydra's public functions only compose whole configs.

    Raises:
        HydraException: one of them does not follow Hydra's grammar.
    """
    return OverridesParser.create(config_loader).parse_overrides(list(overrides))
