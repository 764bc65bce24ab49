"""Atomic writes of checkpoints."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from fkd.io.atomic import whole_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a temporary file beside the checkpoint and renames it on success.

    Lightning's own class writes into the system's temporary folder, from where a file is copied to another disk.
    A folder that was removed during the training is not made again, which would leave a part of a run.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: set[Path] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if (folder := Path(path).parent) not in self._made:
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
        with whole_file(Path(path)) as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
