"""Which arithmetic a machine is fast at."""

import torch

from fkd.errors import UserError

_COARSE = ("16-true", "bf16-true")
"""Lightning would round the labels, too: to half a pixel of a 96 px crop in bfloat16."""


def gpus(accelerator: str) -> int:
    """How many GPUs of this machine Lightning's `accelerator` chooses from."""
    return torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0


def choose(precision: str | int, accelerator: str) -> tuple[str | int, str]:
    """Lightning's `precision` for "auto", and why; any other choice is kept.

    bfloat16 autocast where the hardware multiplies it: processors with AMX or AVX512-BF16, GPUs from Ampere on.

    Raises:
        UserError: 16 bits for everything, which are too few for coordinates.
    """
    if precision in _COARSE:
        raise UserError(
            f"trainer.precision={precision}: expected auto, 32-true, 16-mixed or bf16-mixed, since 16 bits alone would "
            "round the keypoints themselves"
        )
    if precision != "auto":
        return precision, "as asked"
    gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    if gpu and not torch.cuda.is_available():
        return "32-true", "no GPU was found"
    if gpu:
        if torch.cuda.get_device_capability() >= (8, 0):
            return "bf16-mixed", f"{torch.cuda.get_device_name()} multiplies bfloat16"
        return "32-true", "this GPU does not multiply bfloat16"
    if accelerator not in ("auto", "cpu"):
        return "32-true", f"nothing is known about accelerator={accelerator}"
    if not hasattr(torch.cpu, "get_capabilities"):
        return "32-true", f"torch {torch.__version__} does not tell what this processor can do"
    features = torch.cpu.get_capabilities()
    for name in ("amx_bf16", "avx512_bf16"):
        if features.get(name):
            return "bf16-mixed", f"this processor has {name.upper().replace('_', '-')}"
    return "32-true", "this processor has neither AMX nor AVX512-BF16"
