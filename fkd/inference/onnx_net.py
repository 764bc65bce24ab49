"""Exported nets, run with ONNX Runtime, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError, short
from fkd.inference.metadata import Metadata
from fkd.io.onnx_file import metadata_of
from fkd.io.onnx_runtime import session
from fkd.types import Image, PerPoint, Points

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, OUTPUT, SPREAD = "image", "keypoints", "spread"
"""Names in the graph."""

_MOST_BYTES = 2**31  # of one ONNX file


class OnnxNet:
    """An exported net, for `fkd.inference.predictor.Predictor` or alone. Needs neither torch nor a config.

    It runs on one CPU thread, since a small net gains nothing from more and a predictor's detector uses the other
    cores. Several threads may call it at once.

    Args:
        path: a file of `fkd.inference.export.to_onnx` or `to_int8`.

    Raises:
        UserError: the file is missing, broken, of another program or of another form, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        data = _bytes_of(Path(path))
        try:
            text = metadata_of(data)
            self._session = session(path, data)
            _check_ends(self._session)
            self.metadata = Metadata.from_json(text, self.has_spread)
            self._shape = (self.metadata.channels, self.metadata.size, self.metadata.size)
            for found, size in zip(self._run(np.zeros((2, *self._shape), np.uint8)), ((2,), ()), strict=False):
                if (expected := (2, len(self.metadata.schema), *size)) != found.shape or found.dtype != np.float32:
                    raise ValueError(f"for two crops expected float32 {expected}, found {found.dtype} {found.shape}")
        except Exception as error:  # caused by the file's content
            if isinstance(error, UserError) and str(error).startswith(f"{path}: "):
                raise
            raise UserError(f"{path}: expected a net exported by fkd; {' '.join(str(error).split())[:300]}") from error

    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels.

        Raises:
            ValueError: crops of another shape or type.
        """
        return self.with_spread(crops)[0]

    @property
    def has_spread(self) -> bool:
        """Whether the file gives the spread of each point."""
        return len(self._session.get_outputs()) > 1

    def with_spread(self, crops: Image) -> tuple[Points, PerPoint | None]:
        """The keypoints, and the spread of each, (B, K) float32 crop pixels, if the file `has_spread`.

        Raises:
            ValueError: crops of another shape or type.
        """
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != self._shape:
            raise ValueError(f"crops: expected uint8 (B, *{self._shape}), found {crops.dtype} {crops.shape}")
        if len(crops) == 0:  # ONNX Runtime cannot reshape an empty batch
            none = np.zeros((0, len(self.metadata.schema), 2), np.float32)
            return none, none[..., 0] if self.has_spread else None
        keypoints, *spread = self._run(crops)
        return keypoints, spread[0] if spread else None

    def _run(self, crops: Image) -> list[npt.NDArray[np.float32]]:
        outputs: list[npt.NDArray[np.float32]] = self._session.run(None, {INPUT: np.ascontiguousarray(crops)})
        return outputs


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: expected an exported net, found {found}; fkd export writes one")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: expected an ONNX file of at most 2 GiB, found {path.stat().st_size:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _check_ends(session: InferenceSession) -> None:
    inputs = [(put.name, put.type) for put in session.get_inputs()]
    outputs = [put.name for put in session.get_outputs()]
    if inputs != [(INPUT, "tensor(uint8)")] or outputs not in ([OUTPUT], [OUTPUT, SPREAD]):
        raise ValueError(
            f"expected one input {INPUT!r} of uint8 and the output {OUTPUT!r}, perhaps with {SPREAD!r}, found "
            f"{short(inputs)} and {short(outputs)}"
        )
