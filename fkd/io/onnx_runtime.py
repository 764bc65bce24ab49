"""Networks in ONNX, run by ONNX Runtime on one thread of the processor."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fkd.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_MOST_MEMORY = 2**32  # bytes that all nets of a process compute in


def session(path: str | Path, data: bytes) -> InferenceSession:
    """The network of a file, ready to run.

    Args:
        path: of the file, for errors.
        data: its content.

    Raises:
        UserError: ONNX Runtime is not installed, or refuses the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path}: nets in ONNX need ONNX Runtime, which is not installed; pip install onnxruntime"
        ) from error
    _bound_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, too
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: expected a net in ONNX, found a broken file or one of another kind ({reason})"
        ) from error


@cache
def _bound_memory() -> None:
    """Make ONNX Runtime raise an error where a net, which only then shows its sizes, takes much memory."""
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    with suppress(RuntimeError):  # the program has made another one
        onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"max_mem": _MOST_MEMORY}))
