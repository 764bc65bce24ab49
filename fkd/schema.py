"""Keypoint schemas: names, parts, mirror images and lines of a face's keypoints."""

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
    """The meaning of each of K keypoints.

    Attributes:
        name: in config files and error messages.
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
        if repeated := [name for name, times in Counter(self.names).items() if times > 1]:
            raise ValueError(f"schema {self.name}: expected a name for each point, found {repeated[0]} twice")
        _check(self, "flip", self.flip)
        if len(self.flip) != count:
            raise ValueError(f"schema {self.name}: flip: expected {count} points, found {len(self.flip)}")
        for point, other in enumerate(self.flip):
            if self.flip[other] != point:
                found = f"{point} -> {other} -> {self.flip[other]}"
                raise ValueError(f"schema {self.name}: flip: expected its own inverse, found {found}")
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
        """The schema of plain data from a YAML file or a checkpoint, which may be untrusted.

        Points are given as a number from 0 on, a range such as ``"0-16"`` (or ``"16-0"``), a name, or a list of these.

        - ``name``
        - ``names``: optional list, in order; without it a part's points are ``part_0``, ``part_1``, ...
        - ``parts``: part -> points
        - ``flip``: points -> the points they swap with in a mirror image; all others stay. Or a list of all K.
        - ``lines``: optional list of points to connect, in order.
        - ``normaliser``: two points.
        - ``eyes``: the points of the right and of the left eye; by default the normaliser's.

        Raises:
            ValueError: naming the key, what was expected and what was found.
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

        def points(value: Any, key: str) -> tuple[int, ...]:
            found = tuple(islice(point_numbers(value, names or [], f"schema {name}: {key}"), MAX_POINTS + 1))
            if len(found) > MAX_POINTS:  # a short text can stand for many points
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
        """The points (..., K, 2) of a crop, `size` pixels wide, on its mirror image; left and right ones swap."""
        mirrored: Coordinates = keypoints[..., list(self.flip), :] * 1
        mirrored[..., 0] = size - 1 - mirrored[..., 0]
        return mirrored

    def shifted(self, keypoints: Coordinates, shift: Coordinates) -> Coordinates:
        """Points (..., K, 2) moved to the right by shift (..., 2): pixels, and a share of the inter-ocular distance.

        The distance does not change, so the negative shift is the inverse.
        """
        moved: Coordinates = keypoints * 1
        moved[..., 0] += (shift[..., 0] + shift[..., 1] * self.interocular(keypoints))[..., None]
        return moved


def _flip(content: Any, count: int, points: Callable[[Any, str], tuple[int, ...]], key: str) -> tuple[int, ...]:
    """The K indices of `flip`, from a list of them or from pairs that swap."""
    if content is None:
        raise ValueError(f"{key}: expected the pairs that swap in a mirror image ({{}} for none), found none")
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
    """The indices of points that are given as a number, a range, a name or a list of these."""
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


def mapped_points(mapping: Any, wanted: int, given: int, whose: str, key: str) -> list[int]:
    """The numbers of points in another set of points, as `take` of a mapping gives them, see conf/data/mapping.

    Args:
        mapping: its ``points`` is the number of points of the other set.
        wanted: the number of points that it must take.
        given: the number of points of the other set.
        whose: who has that set, for messages.
        key: of the mapping, for messages.

    Raises:
        ValueError: it is no such mapping.
    """
    try:
        count, take = mapping["points"], [*point_numbers(mapping["take"], (), f"{key}.take")]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{key}: expected points and take, as in conf/data/mapping ({error})") from error
    if count != given or len(take) != wanted or max(take, default=0) >= given:
        highest = f", up to number {max(take)}" if take else ""
        raise ValueError(
            f"{key}: expected {wanted} of the {given} points of {whose}, found {len(take)} of {count}{highest}; choose "
            "another one of data/mapping"
        )
    return take


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"schema: expected a list, found {value!r}")
    return list(value)


_Kind = TypeVar("_Kind")


def _expect(value: Any, kind: type[_Kind], message: str) -> _Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{message}, found {value!r}")
    return value


def _check(schema: KeypointSchema, key: str, points: Iterable[int]) -> None:
    for point in points:
        if not 0 <= point < len(schema):
            raise ValueError(f"schema {schema.name}: {key}: expected points from 0 to {len(schema) - 1}, found {point}")


IBUG68 = KeypointSchema.from_dict(
    {
        "name": "ibug68",
        "parts": {
            "jaw": "0-16",
            "right_brow": "17-21",
            "left_brow": "22-26",
            "nose": "27-35",
            "right_eye": "36-41",
            "left_eye": "42-47",
            "outer_mouth": "48-59",
            "inner_mouth": "60-67",
        },
        "flip": {
            **{"0-7": "16-9", "17-21": "26-22", "31-32": "35-34", "36-39": "45-42", "40-41": "47-46"},
            **{"48-50": "54-52", "55-56": "59-58", "60-61": "64-63", "65": "67"},
        },
        "lines": [
            *("0-16", "17-21", "22-26", "27-30", "31-35"),
            *(["36-41", 36], ["42-47", 42], ["48-59", 48], ["60-67", 60]),
        ],
        "normaliser": [36, 45],
        "eyes": ["36-41", "42-47"],
    }
)
"""The 68 points of iBUG (Sagonas et al., "300 Faces in-the-Wild Challenge", IMAVIS 47, 2016, figure 1).

Right and left are the subject's own: the right eye is on the left of an unmirrored image.
"""


def schema_of(content: str | Mapping[str, Any]) -> KeypointSchema:
    """The schema of a config or a checkpoint: the name `ibug68`, or plain data.

    Raises:
        ValueError: it is neither.
    """
    if content == IBUG68.name:
        return IBUG68
    if isinstance(content, str):
        raise ValueError(f"schema={content}: expected {IBUG68.name} or a schema in plain data, as in conf/schema")
    return KeypointSchema.from_dict(content)
