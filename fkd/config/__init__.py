"""From config to objects: what builds all that a `_target_` names."""

from pathlib import Path

_INSTALLED = Path(__file__).parents[1] / "conf"
CONF = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "conf"
"""The folder of all configs: in the installed package, else beside it in a clone."""
