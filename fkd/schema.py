"""What the points of a face mean: their names, parts, mirror images and the lines between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

if TYPE_CHECKING:  # an exported net is used without torch
    from torch import Tensor

Coordinates = TypeVar("Coordinates", "npt.NDArray[Any]", "Tensor")

MAX_POINTS = 10_000
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


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
        if count > MAX_POINTS:
            raise ValueError(f"schema {self.name}: expected at most {MAX_POINTS:,} points, found {count:,}")
        _check_names(self.name, self.names)
        _check(self, "flip", self.flip)
        if len(self.flip) != count:
            raise ValueError(f"schema {self.name}: flip: expected {count} points, found {len(self.flip)}")
        for point, other in enumerate(self.flip):
            if self.flip[other] != point:
                raise ValueError(
                    f"schema {self.name}: flip: expected what undoes itself, found {point} -> {other} -> "
                    f"{self.flip[other]}"
                )
        owner: dict[int, str] = {}
        for part, points in self.parts.items():
            _check(self, f"parts.{part}", points)
            for point in points:
                if (first := owner.setdefault(point, part)) != part or points.count(point) > 1:
                    raise ValueError(
                        f"schema {self.name}: parts: expected each point once, found {point} in {first} and {part}"
                    )
        if missing := [point for point in range(count) if point not in owner]:
            raise ValueError(f"schema {self.name}: parts: expected each of the {count} points, found no {missing[0]}")
        _check(self, "lines", [point for line in self.lines for point in line])
        _check(self, "normaliser", self.normaliser)
        if len(set(self.normaliser)) != 2:
            raise ValueError(f"schema {self.name}: normaliser: expected two points, found {list(self.normaliser)}")
        for eye in self.eyes:
            _check(self, "eyes", eye)
        if len(self.eyes) != 2 or not all(self.eyes):
            raise ValueError(f"schema {self.name}: eyes: expected the points of two, found {len(self.eyes)}")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> KeypointSchema:
        """A schema in plain data, as YAML files and checkpoints have it; the content may be untrusted.

        Where points are meant, a number from 0 on, a range such as ``"0-16"`` (or ``"16-0"``) or a point's name stands.

        - ``name``
        - ``names``: optional list, in order; without it a part's points are ``part_0``, ``part_1``, ...
        - ``parts``: part -> points
        - ``flip``: points -> those they change places with in a mirror; all others stay. Or a list of all K.
        - ``lines``: lists of points to draw through, in order; optional.
        - ``normaliser``: two points.
        - ``eyes``: the points of the right and of the left eye; without it they are the normaliser's.

        Raises:
            ValueError: what was expected and what was found.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"schema: expected a mapping, found {content!r}")
        name = _expect(content.get("name"), str, "schema: expected a name")
        known = {"name", "names", "parts", "flip", "lines", "normaliser", "eyes"}
        if unknown := sorted(map(str, set(content) - known)):
            raise ValueError(f"schema {name}: expected {', '.join(sorted(known))}, found {unknown[0]}")
        names = content.get("names")
        if names is not None:
            names = [_expect(each, str, f"schema {name}: names: expected words") for each in _listed(names)]
        if not isinstance(given := content.get("parts"), Mapping):
            raise ValueError(f"schema {name}: expected parts, found {given!r}")

        if names is not None:
            _check_names(name, names)

        def points(value: Any, key: str) -> tuple[int, ...]:
            found = tuple(islice(point_numbers(value, names or [], f"schema {name}: {key}"), MAX_POINTS + 1))
            if len(found) > MAX_POINTS:  # a short text can stand for very many
                raise ValueError(f"schema {name}: {key}: expected at most {MAX_POINTS:,} points, found more")
            return found

        parts = {str(part): points(value, f"parts.{part}") for part, value in given.items()}
        count = len(names) if names is not None else sum(map(len, parts.values()))
        if names is None:
            owned = {point: f"{part}_{i}" for part, members in parts.items() for i, point in enumerate(members)}
            names = [owned.get(point, f"point_{point}") for point in range(count)]
        chains = [points(line, "lines") for line in _listed(content.get("lines") or ())]
        normaliser = points(content.get("normaliser"), "normaliser")
        eyes = content.get("eyes")
        return cls(
            name=name,
            names=tuple(names),
            parts=parts,
            flip=_flip(content.get("flip"), count, points, f"schema {name}: flip"),
            lines=tuple(line for chain in chains for line in pairwise(chain)),
            normaliser=normaliser,  # type: ignore[arg-type]
            eyes=tuple(points(eye, "eyes") for eye in (_listed(eyes) if eyes else normaliser)),  # type: ignore[arg-type]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes."""
        return {
            "name": self.name,
            "names": list(self.names),
            "parts": {part: list(points) for part, points in self.parts.items()},
            "flip": list(self.flip),
            "lines": [list(line) for line in self.lines],
            "normaliser": list(self.normaliser),
            "eyes": [list(eye) for eye in self.eyes],
        }

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


def _flip(content: Any, count: int, points: Callable[[Any, str], tuple[int, ...]], key: str) -> tuple[int, ...]:
    """All K of them, from such a list or from the pairs that change places."""
    if content is None:
        raise ValueError(f"{key}: expected what changes places in a mirror ({{}} for nothing), found none")
    if not isinstance(content, Mapping):
        return points(content, "flip")
    flip = list(range(count))
    for one, other in content.items():
        ones, others = points(one, "flip"), points(other, "flip")
        if len(ones) != len(others) or max(*ones, *others, 0) >= count:
            raise ValueError(f"{key}: expected as many points (below {count}) on both sides, found {one}: {other}")
        for first, second in zip(ones, others, strict=True):
            if flip[first] != first or flip[second] != second:
                raise ValueError(f"{key}: expected each point once, found {one}: {other} after another pair")
            flip[first], flip[second] = second, first
    return tuple(flip)


def point_numbers(value: Any, names: Sequence[str], key: str) -> Iterator[int]:
    """The numbers of points that a number, a range, a name or a list of these stands for."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from point_numbers(each, names, key)
    elif isinstance(value, str) and value in names:
        yield names.index(value)
    elif not isinstance(value, bool) and (match := _RANGE.fullmatch(str(value))):
        first, last = int(match[1]), int(match[2] or match[1])
        if max(first, last) >= MAX_POINTS:
            raise ValueError(f"{key}: expected points below {MAX_POINTS}, found {value}")
        yield from range(first, last + 1) if first <= last else range(first, last - 1, -1)
    else:
        raise ValueError(f"{key}: expected numbers, ranges such as 0-16 or names of points, found {value!r}")


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"schema: expected a list, found {value!r}")
    return list(value)


_Kind = TypeVar("_Kind")


def _expect(value: Any, kind: type[_Kind], message: str) -> _Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{message}, found {value!r}")
    return value


def _check_names(schema: str, names: Sequence[str]) -> None:
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"schema {schema}: expected a name for each point, found {repeated[0]} twice")


def _check(schema: KeypointSchema, key: str, points: Iterable[int]) -> None:
    for point in points:
        if not 0 <= point < len(schema):
            raise ValueError(f"schema {schema.name}: {key}: expected points from 0 to {len(schema) - 1}, found {point}")


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

Right and left are the subject's own: the right eye stands on the left of an unmirrored image.
"""


def schema_of(content: str | Mapping[str, Any]) -> KeypointSchema:
    """The schema that a config or a checkpoint names (the one in this file) or holds as plain data.

    Raises:
        ValueError: it is neither.
    """
    if content == IBUG68.name:
        return IBUG68
    if isinstance(content, str):
        raise ValueError(f"schema={content}: expected {IBUG68.name} or a schema in plain data, as in conf/schema")
    return KeypointSchema.from_dict(content)
