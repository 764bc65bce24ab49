"""From config to objects: what builds all that a `_target_` names."""

from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"
"""The folder of all configs."""
