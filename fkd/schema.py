"""What the points of a face mean: their names, parts, mirror images and the lines between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

if TYPE_CHECKING:  # an exported net is used without torch
    from torch import Tensor

Coordinates = TypeVar("Coordinates", "npt.NDArray[Any]", "Tensor")


@dataclass(frozen=True)
class KeypointSchema:
    """The meaning of K keypoints.

    Attributes:
        name: what config files and error messages call it.
        names: K names, in order.
        parts: part name -> indices of its points; parts do not overlap and together hold every point.
        flip: K indices; point i of the mirrored face is point ``flip[i]`` of the face.
        lines: pairs of indices, drawn as strokes between points.
        normaliser: the two points whose distance is 1 in the normalised mean error (inter-ocular for faces).
        eyes: the points of the right and of the left eye; the distance of their centres is the inter-pupil distance.
    """

    name: str
    names: tuple[str, ...]
    parts: Mapping[str, tuple[int, ...]]
    flip: tuple[int, ...]
    lines: tuple[tuple[int, int], ...]
    normaliser: tuple[int, int]
    eyes: tuple[tuple[int, ...], tuple[int, ...]]

    def __post_init__(self) -> None:
        count = len(self.names)
        if sorted(self.flip) != list(range(count)) or any(self.flip[self.flip[i]] != i for i in range(count)):
            raise ValueError(f"schema {self.name}: flip must be a permutation of {count} points that undoes itself")
        if sorted(i for part in self.parts.values() for i in part) != list(range(count)):
            raise ValueError(f"schema {self.name}: parts must hold each of the {count} points once")
        named = {i for pair in self.lines for i in pair} | set(self.normaliser) | {i for eye in self.eyes for i in eye}
        if named - set(range(count)) or self.normaliser[0] == self.normaliser[1]:
            raise ValueError(f"schema {self.name}: lines, normaliser and eyes must name two of its {count} points")

    def __len__(self) -> int:
        return len(self.names)

    def interocular(self, keypoints: Coordinates) -> Coordinates:
        """Distance of the normaliser's two points: (..., K, 2) -> (...), in the unit of the points."""
        first, second = self.normaliser
        difference = keypoints[..., first, :] - keypoints[..., second, :]
        distance: Coordinates = (difference**2).sum(-1) ** 0.5
        return distance

    def mirrored(self, keypoints: Coordinates, size: int) -> Coordinates:
        """The points (..., K, 2) of a crop, `size` pixels wide, as they lie on its mirror image: left is right."""
        mirrored: Coordinates = keypoints[..., list(self.flip), :] * 1
        mirrored[..., 0] = size - 1 - mirrored[..., 0]
        return mirrored

    def shifted(self, keypoints: Coordinates, shift: Coordinates) -> Coordinates:
        """Points (..., K, 2) moved to the right by shift (..., 2): pixels, and a share of the inter-ocular distance.

        That distance stays as it was, so the negative shift undoes it.
        """
        moved: Coordinates = keypoints * 1
        moved[..., 0] += (shift[..., 0] + shift[..., 1] * self.interocular(keypoints))[..., None]
        return moved


def _chain(start: int, stop: int, *, closed: bool = False) -> tuple[tuple[int, int], ...]:
    """Lines through the points start..stop (both included)."""
    open_chain = tuple((i, i + 1) for i in range(start, stop))
    return (*open_chain, (stop, start)) if closed else open_chain


_IBUG68_PARTS = {
    "jaw": tuple(range(0, 17)),
    "right_brow": tuple(range(17, 22)),
    "left_brow": tuple(range(22, 27)),
    "nose": tuple(range(27, 36)),
    "right_eye": tuple(range(36, 42)),
    "left_eye": tuple(range(42, 48)),
    "outer_mouth": tuple(range(48, 60)),
    "inner_mouth": tuple(range(60, 68)),
}

IBUG68 = KeypointSchema(
    name="ibug68",
    names=tuple(f"{part}_{i}" for part, points in _IBUG68_PARTS.items() for i in range(len(points))),
    parts=_IBUG68_PARTS,
    flip=(
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *range(54, 47, -1),
        *range(59, 54, -1),
        *range(64, 59, -1),
        *range(67, 64, -1),
    ),
    lines=(
        *_chain(0, 16),
        *_chain(17, 21),
        *_chain(22, 26),
        *_chain(27, 30),
        *_chain(31, 35),
        *_chain(36, 41, closed=True),
        *_chain(42, 47, closed=True),
        *_chain(48, 59, closed=True),
        *_chain(60, 67, closed=True),
    ),
    normaliser=(36, 45),
    eyes=(_IBUG68_PARTS["right_eye"], _IBUG68_PARTS["left_eye"]),
)
"""The 68 points of iBUG (Sagonas et al., "300 Faces in-the-Wild Challenge", IMAVIS 47, 2016, figure 1).

Right and left are the person's own: the right eye stands on the left of an unmirrored picture.
"""

SCHEMAS = {schema.name: schema for schema in (IBUG68,)}
