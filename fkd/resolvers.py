"""Functions that YAML files may call, as in `${half:${crop.size}}`."""

import re
from pathlib import Path

from omegaconf import OmegaConf


def job_folder(number: int, overrides: str) -> str:
    """Name of a job's folder: its number and what was swept, as far as a file name may hold it."""
    name = re.sub(r"[^\w.,=+-]+", ".", overrides)[:100].strip(".")
    return f"{number}_{name}" if name else str(number)


def half(number: float) -> float:
    """Of a crop's size, its centre and unit."""
    return number / 2


def folder_name(path: str) -> str:
    """The last part of a path."""
    return Path(path).name


for function in (job_folder, half, folder_name):
    OmegaConf.register_new_resolver(function.__name__, function, replace=True)
