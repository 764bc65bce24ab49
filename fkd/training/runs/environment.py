"""What figures depend on beside the command."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytorch_lightning as pl
import torch

import fkd


def environment(trainer: pl.Trainer | None = None) -> dict[str, Any]:
    """The processor or GPU, the number of threads, the versions, and of a clone of fkd the commit.

    Args:
        trainer: of a training, whose precision and number of processes count, too.
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **({} if trainer is None else _training(trainer)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "fkd": fkd.__version__,
        "commit": _commit(),
    }


def _training(trainer: pl.Trainer) -> dict[str, Any]:
    device = trainer.strategy.root_device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"gpu": gpu, "precision": str(trainer.precision), "processes": trainer.world_size}


def _commit() -> str | None:
    """Of the clone that holds this file, with "-dirty" if its files have changed; None if it lies in no clone."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        words = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or another user's clone
        return None
