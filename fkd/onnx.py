"""Exported nets: what such a file says about itself, and running it with ONNX Runtime, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fkd.errors import UserError
from fkd.geometry import Window
from fkd.schema import SCHEMAS, KeypointSchema
from fkd.shape import ShapeModel
from fkd.types import Image, Points

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, OUTPUT, KEY = "image", "keypoints", "fkd"
"""Names in the graph, and the key in the file's metadata."""

_FORMAT = 1
_LARGEST_SIZE = 4096  # pixels
_MOST_BYTES = 2**31  # that one ONNX file can have
_THREADS = 1


@dataclass(frozen=True)
class Facts:
    """What prediction must know of a net apart from its graph; travels in the file as JSON.

    Attributes:
        model: what config files call the network.
        schema: what the K points mean.
        size: width and height of the crops in pixels.
        channels: 1 for grey, 3 for RGB.
        window: from the squares of a detector to what the net is shown.
        shapes: the shapes it was trained on, if they were kept.
        detector: plain config of the detector that it was trained for.
    """

    model: str
    schema: KeypointSchema
    size: int
    channels: int
    window: Window
    shapes: ShapeModel | None
    detector: Mapping[str, Any]

    def to_json(self) -> str:
        """One line; the same facts always give the same."""
        content = {
            "format": _FORMAT,
            "model": self.model,
            "schema": self.schema.name,
            "size": self.size,
            "channels": self.channels,
            "window": {"scale": self.window.scale, "y": self.window.y},
            "shapes": None if self.shapes is None else self.shapes.to_dict(),
            "detector": self.detector,
        }
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return text.replace("location", "\\u006cocation")  # the same to JSON; see `_bytes_of`

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """What `to_json` gave; the text may come from a stranger.

        Raises:
            ValueError: saying what was expected and what was found.
        """
        try:
            content = json.loads(text, parse_constant=_no_number)
        except RecursionError as error:
            raise ValueError("expected plain JSON, found a pile of brackets") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            found = content.get("format") if isinstance(content, dict) else content
            raise ValueError(
                f"expected format {_FORMAT}, found {_short(found)}; export it again with this version of fkd"
            )
        name = _get(content, "schema", str)
        if name not in SCHEMAS:
            raise ValueError(f"expected schema {' or '.join(SCHEMAS)}, found {_short(name)}")
        window, shapes = _get(content, "window", dict), _get(content, "shapes", dict | None)
        return cls(
            model=_get(content, "model", str),
            schema=SCHEMAS[name],
            size=int(_within(content, "size", int, 1, _LARGEST_SIZE)),
            channels=int(_within(content, "channels", int, 1, 3)),
            window=Window(
                _within(window, "scale", int | float, 0.01, 100), _within(window, "y", int | float, -100, 100)
            ),
            shapes=None if shapes is None else _shapes(shapes, len(SCHEMAS[name])),
            detector=_get(content, "detector", dict),
        )


class OnnxNet:
    """An exported net, for `fkd.predictor.Predictor` or by itself. Needs neither torch nor a config.

    It runs on one thread of the processor, and several threads may call it at once: a small net gains nothing from
    more, and a predictor's detecting threads want the other cores.

    Args:
        path: a file that `fkd.export.to_onnx` or `to_int8` wrote.

    Raises:
        UserError: the file is missing, broken, of another program or of another form, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self._session = _session(path)
        try:
            self.facts = facts = _facts(self._session)
            self.schema, self.size, self.channels = facts.schema, facts.size, facts.channels
            self.window, self.shapes, self.detector = facts.window, facts.shapes, facts.detector
            self._check_answer()
        except Exception as error:  # whatever fails, the file's content made it fail
            raise UserError(f"{path}: expected a net exported by fkd; {' '.join(str(error).split())[:300]}") from error

    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels.

        Raises:
            ValueError: crops of another shape or type.
        """
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (self.channels, self.size, self.size):
            raise ValueError(
                f"crops: expected uint8 (B, {self.channels}, {self.size}, {self.size}), "
                f"found {crops.dtype} {crops.shape}"
            )
        if len(crops) == 0:  # which ONNX Runtime cannot reshape
            return np.zeros((0, len(self.schema), 2), np.float32)
        keypoints: Points = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(crops)})[0]
        return keypoints

    def _check_answer(self) -> None:
        """Runs the graph on two black crops."""
        found = self(np.zeros((2, self.channels, self.size, self.size), np.uint8))
        if (expected := (2, len(self.schema), 2)) != found.shape or found.dtype != np.float32:
            raise ValueError(f"for two crops expected float32 {expected}, found {found.dtype} {found.shape}")


def _session(path: str | Path) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f'{path}: exported nets need ONNX Runtime, which is not installed; pip install "fkd[export]", '
            "or pip install onnxruntime"
        ) from error
    data = _bytes_of(Path(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = _THREADS
    options.log_severity_level = 4  # what fails is raised, too
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no other class
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: expected a net in ONNX, found a broken file or one of another kind ({reason})"
        ) from error


def _bytes_of(path: Path) -> bytes:
    """The file's content. Weights in a second file are refused: it would choose which of the user's files are read."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: expected an exported net, found {found}; scripts/export.py writes one")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: expected an ONNX file of at most 2 GiB, found {path.stat().st_size:,} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if b"location" in data:  # the key without which ONNX knows no second file; fkd's own files do without the word
        raise UserError(
            f"{path}: expected a net in one file, found one that refers to others; export it again with fkd"
        )
    return data


def _facts(session: InferenceSession) -> Facts:
    inputs = [(put.name, put.type) for put in session.get_inputs()]
    if inputs != [(INPUT, "tensor(uint8)")] or [put.name for put in session.get_outputs()] != [OUTPUT]:
        raise ValueError(f"expected one input {INPUT!r} of uint8 and one output {OUTPUT!r}, found {_short(inputs)}")
    metadata = session.get_modelmeta().custom_metadata_map
    if KEY not in metadata:
        raise ValueError(f"found no {KEY!r} in its metadata: another program wrote it")
    return Facts.from_json(metadata[KEY])


def _shapes(content: Mapping[str, Any], points: int) -> ShapeModel:
    try:
        shapes = ShapeModel.from_dict(content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"shapes: expected mean, axes, deviations and unit that fit, found others ({error})"
        ) from error
    if len(shapes.mean) != points:
        raise ValueError(f"shapes: expected {points} points, found {len(shapes.mean)}")
    return shapes


def _get(content: Mapping[str, Any], key: str, kind: Any) -> Any:
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        name = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{key}: expected {name}, found {_short(value)}")
    return value


def _within(content: Mapping[str, Any], key: str, kind: Any, low: float, high: float) -> float:
    value: float = _get(content, key, kind)
    if not low <= value <= high:
        raise ValueError(f"{key}: expected {low} to {high}, found {_short(value)}")
    return value


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, found {constant}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
