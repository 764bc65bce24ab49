"""The state of the random numbers that training draws, to go on with them where they stood."""

import random
from typing import Any, cast

import numpy as np
import torch


def collect() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's global generators (the GPUs' as well): tensors and plain data."""
    _, keys, *rest = cast(tuple[Any, ...], np.random.get_state())  # noqa: NPY002 (a user's own code may draw from it)
    return {
        "python": random.getstate(),
        "numpy": [keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(states: dict[str, Any]) -> None:
    """Puts back what `collect` gave. The GPUs' states are left alone where their number is another one."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", np.array(keys, np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
