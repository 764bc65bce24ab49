"""From a config to the objects that its `_target_` keys name."""

from pathlib import Path

_INSTALLED = Path(__file__).parents[1] / "conf"
CONF = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "conf"
"""The folder of all configs: in the installed package, else beside it in a clone."""
