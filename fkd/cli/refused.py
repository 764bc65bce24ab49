"""Nothing is left of a command that is refused: its new folder goes, the configs of an older run come back."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fkd import distributed
from fkd.io.atomic import refusal, whole_file
from fkd.io.folders import missing, remove_empty

_kept: dict[Path, bytes] = {}
"""File -> content of the configs in the folder before Hydra overwrites them."""
_made: list[Path] = []
"""The command's folder and those above it that are new; the folder comes first."""
_FIRST_FILES = {"result.json", ".lock", "config.yaml", "hydra.yaml", "overrides.yaml", "multirun.yaml"}
_FIRST_FILES |= {"study.db", ".study.lock"}
"""Names of the files that are written before a command can be refused."""


class Before(Callback):
    """Notes what there is before Hydra writes into the folder of a run or sweep."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.run.dir)
        _made[:] = _new(folder)
        if config.hydra.output_subdir is not None:
            _kept.update({path: path.read_bytes() for path in folder.glob(f"{config.hydra.output_subdir}/*.yaml")})

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        _made[:] = _new(Path(config.hydra.sweep.dir))


def _new(folder: Path) -> list[Path]:
    """Makes a folder; gives it and those made for it. None if it is there, or if another process makes it now."""
    new = missing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError:  # Hydra reports what is wrong with it
        return []
    return new


def forget() -> None:
    """Begin a command: nothing is noted yet."""
    _kept.clear()
    _made.clear()


def put_back(error: Exception) -> None:
    """Restore the configs in the folder after a command was refused; a new folder is removed if nothing was done.

    Args:
        error: what refused it. If that was the system, as on a full disk, the folder stays, since the run can go on.
    """
    for path, content in _kept.items():
        with suppress(OSError), whole_file(path) as file:  # what refused them may be a full disk
            file.write(content)
    if _made and distributed.is_first() and refusal(error) is None and refusal(error.__cause__) is None:
        if all(path.name in _FIRST_FILES for path in _made[0].rglob("*") if not path.is_dir()):
            shutil.rmtree(_made[0], ignore_errors=True)
        remove_empty(_made[1:])
