"""Choice of the floating-point precision that is fast on this machine."""

import torch

from fkd.errors import UserError

_COARSE = ("16-true", "bf16-true")
"""With these, Lightning rounds the labels, too: to half a pixel of a 96 px crop in bfloat16."""


def gpus(accelerator: str) -> int:
    """The number of GPUs that Lightning's `accelerator` can use."""
    return torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0


def choose(precision: str | int, accelerator: str) -> tuple[str | int, str]:
    """Return Lightning's `precision` for "auto" and the reason; any other choice is returned unchanged.

    "auto" is bfloat16 autocast where the hardware multiplies bfloat16 (processors with AMX or AVX512-BF16, GPUs since
    Ampere), else float32.

    Raises:
        UserError: "16-true" or "bf16-true", which have too few bits for coordinates.
    """
    if precision in _COARSE:
        raise UserError(
            f"trainer.precision={precision}: expected auto, 32-true, 16-mixed or bf16-mixed, since this one rounds the "
            "keypoints to 16 bits; choose one of those"
        )
    if precision != "auto":
        return precision, "chosen by trainer.precision"
    gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    if gpu and not torch.cuda.is_available():
        return "32-true", "no GPU found"
    if gpu:
        if torch.cuda.get_device_capability() >= (8, 0):
            return "bf16-mixed", f"{torch.cuda.get_device_name()} multiplies bfloat16"
        return "32-true", "this GPU does not multiply bfloat16"
    if accelerator not in ("auto", "cpu"):
        return "32-true", f"unknown accelerator={accelerator}"
    if not hasattr(torch.cpu, "get_capabilities"):
        return "32-true", f"torch {torch.__version__} does not report the features of this processor"
    features = torch.cpu.get_capabilities()
    for name in ("amx_bf16", "avx512_bf16"):
        if features.get(name):
            return "bf16-mixed", f"this processor has {name.upper().replace('_', '-')}"
    return "32-true", "this processor has neither AMX nor AVX512-BF16"
