"""An untrusted net is built on torch's meta device, compared with the weights in its file, and then given these."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fkd.errors import UserError
from fkd.models.keypoint_net import KeypointNet

_MOST_STEPS, _MOST_NUMBERS = 100_000, 2**28
"""Of building a net, or running it on one crop; numbers of one tensor. All tensors may have 32 times as many."""

_SAME_SHAPE = {torch.ops.aten.batch_norm.default, torch.ops.aten.relu.default, torch.ops.aten.relu_.default}
"""Common steps that give the shape that they take, and for which torch needs half a millisecond each to find it."""


class WithoutMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within its block tensors of a given size are made on torch's meta device: they have a shape and no numbers.

    Ranges and numbers of the program are real, so that constructors can read numbers off them. Too many steps and too
    large tensors raise an error. Time is not bounded: a large kernel takes long for each number that it gives.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._steps = self._numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        sizes = args[0] if args and isinstance(args[0], list | tuple) else [0]
        if all(isinstance(size, int) and size for size in sizes):
            kwargs["device"] = torch.device("meta")  # torch.empty, zeros, ones, full, ...
        kept = args and isinstance(args[0], Tensor) and args[0].is_meta and func in _SAME_SHAPE
        found = args[0] if kept else func(*args, **kwargs)
        self._steps += 1
        for tensor in found if isinstance(found, list | tuple) else [found]:
            if isinstance(tensor, Tensor):
                self._numbers += tensor.numel()
                if tensor.numel() > _MOST_NUMBERS:
                    raise UserError(
                        f"model: expected tensors of at most {_MOST_NUMBERS:,} numbers, found {tuple(tensor.shape)}"
                    )
        if self._steps > _MOST_STEPS or self._numbers > 32 * _MOST_NUMBERS:
            raise UserError(
                f"model: expected at most {_MOST_STEPS:,} steps and {32 * _MOST_NUMBERS:,} numbers to build it and run "
                "it on one crop, found more"
            )
        return found


def with_weights(model: KeypointNet, weights: Mapping[str, Any], name: str) -> None:
    """Check a net that was built `WithoutMemory`, and give it its weights.

    Args:
        model: it is changed in place.
        weights: by name, as of its state.
        name: of the model, for errors.

    Raises:
        UserError: the net gives other output than its codec takes, or is too much work.
        ValueError: the weights are others, or not all in the file.
    """
    parts = [(part, buffers) for part in model.modules() if (buffers := dict(part.named_buffers(recurse=False)))]
    with WithoutMemory():
        model.to("meta").check_output(name)
    for part, buffers in parts:  # some were made of real numbers
        for key, buffer in buffers.items():
            setattr(part, key, buffer)
    expected = model.state_dict()
    for key in [*expected, *weights]:
        wanted, found = (getattr(part.get(key), "shape", None) for part in (expected, weights))
        if wanted is None or wanted != found:
            sizes = f"expected shape {_shown(wanted)}, found {_shown(found)}"
            raise ValueError(f"size mismatch of weights {str(key)[:80]}: {sizes}")
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in weights.values()}
    if sum(each.nbytes for each in weights.values()) > sum(storages.values()):
        raise ValueError("weights: expected each number in the file, found views that repeat them")
    state = {key: torch.empty_like(each, device="cpu").copy_(weights[key]) for key, each in expected.items()}
    model.load_state_dict(state, assign=True)


def _shown(shape: Any) -> str:
    return "none" if shape is None else str(tuple(shape))
