"""Functions for YAML files, as in `${half:${crop.size}}`."""

import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fkd.config import project
from fkd.schema import KeypointSchema, schema_of


def job_folder(number: int, overrides: str) -> str:
    """Name of a job's folder: its number and the swept overrides, without characters that file names must not have."""
    name = re.sub(r"[^\w.,=+-]+", ".", overrides)[:100].strip(".")
    return f"{number}_{name}" if name else str(number)


def conf(name: str) -> str:
    """Path of a file in conf/, such as an image that lies beside its YAML file.

    The folders of configs are searched in their order. If none has it, the path in the first: a project's own.
    """
    paths = [folder / name for folder in project.folders()]
    return str(next((path for path in paths if path.exists()), paths[0]))


def half(number: float) -> float:
    """Half of a crop's size: its centre and unit."""
    return number / 2


def folder_name(path: str) -> str:
    """The last part of a path."""
    return Path(path).name


def points(schema: str | DictConfig) -> int:
    """Number of a schema's points."""
    return len(_schema(schema))


def normaliser(schema: str | DictConfig) -> list[int]:
    """The two points of a schema whose distance is 1 in the normalised error."""
    return [*_schema(schema).normaliser]


def _schema(schema: str | DictConfig) -> KeypointSchema:
    content = OmegaConf.to_container(schema) if isinstance(schema, DictConfig) else schema
    return schema_of(content)  # type: ignore[arg-type]


for function in (job_folder, conf, half, folder_name, points, normaliser):
    OmegaConf.register_new_resolver(function.__name__, function, replace=True)
