"""How Lightning writes checkpoints here."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from fkd.io.atomic import whole_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Atomic writes: a temporary file beside the checkpoint, renamed on success.

    Lightning's own writer goes through the system's temporary folder: from another disk a file is copied, not renamed.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with whole_file(Path(path)) as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
