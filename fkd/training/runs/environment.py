"""Hardware and versions, on which results depend besides the command."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytorch_lightning as pl
import torch

import fkd


def environment(trainer: pl.Trainer | None = None) -> dict[str, Any]:
    """Processor or GPU, number of threads, versions, and the commit of a clone of fkd.

    Args:
        trainer: adds GPU, precision and world size of a training.
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    training: dict[str, Any] = {}
    if trainer is not None:
        device = trainer.strategy.root_device
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        training = {"gpu": gpu, "precision": str(trainer.precision), "processes": trainer.world_size}
    return {
        "processor": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **training,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "fkd": fkd.__version__,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the git clone with this file, with "-dirty" after local changes; None outside of a clone."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        words = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # git is missing, or refuses another user's clone
        return None
