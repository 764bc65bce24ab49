"""Metadata of a net: all that prediction needs beside the weights, as JSON in exported files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fkd.detect import without_files
from fkd.errors import short
from fkd.geometry import Rolls, Window, crop_matrices
from fkd.models.error_model import ErrorModel
from fkd.models.visibility_model import VisibilityModel
from fkd.schema import IBUG68, KeypointSchema, schema_of
from fkd.shape_model import ShapeModel
from fkd.types import Points

_FORMAT = 2  # format 1 has other names of classes
_LARGEST_SIZE = 4096  # pixels


@dataclass(frozen=True)
class Metadata:
    """Metadata of a net; an exported file holds it as JSON.

    Attributes:
        model: name of the network in config files.
        schema: of the K points.
        size: width and height of the crops in pixels.
        channels: 1 for grey, 3 for RGB.
        window: from a detector's squares to the net's crops.
        shapes: model of the shapes of the training faces; None in files without one.
        detector: plain config of the detector that the net was trained for.
        error_model: how large the error of each point probably is; None in files without it.
        visibility_model: whether the photo shows each point; None in files without it.
    """

    model: str
    schema: KeypointSchema
    size: int
    channels: int
    window: Window
    shapes: ShapeModel | None
    detector: Mapping[str, Any]
    error_model: ErrorModel | None = None
    visibility_model: VisibilityModel | None = None

    def to_json(self) -> str:
        """One line; equal metadata give equal lines."""
        content = {
            "format": _FORMAT,
            "model": self.model,
            "schema": self.schema.name if self.schema == IBUG68 else self.schema.to_dict(),
            "size": self.size,
            "channels": self.channels,
            "window": {"scale": self.window.scale, "y": self.window.y},
            "shapes": None if self.shapes is None else self.shapes.to_dict(),
            "detector": without_files(self.detector),
            "error_model": None if self.error_model is None else self.error_model.to_dict(),
            "visibility_model": None if self.visibility_model is None else self.visibility_model.to_dict(),
        }
        return json.dumps(content, sort_keys=True, allow_nan=False)

    def matrices(self, squares: Points, rolls: Rolls = None) -> npt.NDArray[np.float32]:
        """(N, 2, 3) photo pixels -> crop pixels, for a detector's squares (N, 4) of faces with these rolls (N,)."""
        return crop_matrices(self.window(squares, rolls), self.size, rolls)

    @property
    def needs_spread(self) -> bool:
        """Whether expected errors or visibilities are computed from the spread of each point."""
        return self.visibility_model is not None or (self.error_model is not None and self.error_model.needs_spread)

    @classmethod
    def from_json(cls, text: str, has_spread: bool = True) -> Metadata:
        """Metadata from the text of `to_json`, which may be untrusted.

        Args:
            text: JSON.
            has_spread: whether the net gives the spread of each point.

        Raises:
            ValueError: naming what was expected and what was found.
        """
        try:
            content = json.loads(text, parse_constant=_no_number)
        except RecursionError as error:
            raise ValueError("expected plain JSON, found one that is nested too deeply") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            found = content.get("format") if isinstance(content, dict) else content
            raise ValueError(
                f"expected format {_FORMAT}, found {short(found)}; export it again with this version of fkd"
            )
        schema = schema_of(_get(content, "schema", str | dict))
        window, shapes = _get(content, "window", dict), _get(content, "shapes", dict | None)
        if (channels := _get(content, "channels", int)) not in (1, 3):
            raise ValueError(f"channels: expected 1 (grey) or 3 (RGB), found {channels}")
        return cls(
            model=_get(content, "model", str),
            schema=schema,
            size=int(_within(content, "size", int, 1, _LARGEST_SIZE)),
            channels=channels,
            window=Window(
                _within(window, "scale", int | float, 0.01, 100), _within(window, "y", int | float, -100, 100)
            ),
            shapes=None if shapes is None else ShapeModel.from_dict(shapes, len(schema)),
            detector=_get(content, "detector", dict),
            error_model=ErrorModel.from_dict(content.get("error_model"), len(schema), has_spread),
            visibility_model=VisibilityModel.from_dict(content.get("visibility_model"), len(schema), has_spread),
        )


def _get(content: Mapping[str, Any], key: str, kind: Any) -> Any:
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        name = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{key}: expected {name}, found {short(value)}")
    return value


def _within(content: Mapping[str, Any], key: str, kind: Any, low: float, high: float) -> float:
    value: float = _get(content, key, kind)
    if not low <= value <= high:
        raise ValueError(f"{key}: expected {low} to {high}, found {short(value)}")
    return value


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, found {constant}")
