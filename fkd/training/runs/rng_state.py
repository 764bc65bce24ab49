"""States of the global random generators, for resuming a training exactly."""

import random
from typing import Any, cast

import numpy as np
import torch


def collect() -> dict[str, Any]:
    """The states of the global generators of Python, NumPy, torch and its GPUs, as tensors and plain data."""
    _, keys, *rest = cast(tuple[Any, ...], np.random.get_state())  # noqa: NPY002 (the user's code may use it)
    return {
        "python": random.getstate(),
        "numpy": [keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(states: dict[str, Any]) -> None:
    """Restore the states of `collect`; those of GPUs only if the number of GPUs is the same."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", np.array(keys, np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
