import dataclasses
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from fkd.schema import IBUG68, MAX_POINTS, KeypointSchema, point_numbers, schema_of

CONF = Path(__file__).parents[1] / "conf"
NAMES = sorted(path.stem for path in (CONF / "schema").glob("*.yaml"))
MIDLINES = {
    "aflw19": {13, 16, 18},
    "cofw29": {20, 21, 24, 25, 26, 27, 28},
    "ibug68": {8, 27, 28, 29, 30, 33, 51, 57, 62, 66},
    "kaggle15": {10, 13, 14},
    "lapa106": {16, 51, 52, 53, 54, 60, 87, 93, 98, 102},
    "mediapipe478": {0, 1, 2, 4, 5, 6, *range(8, 20), 94, 151, 152, 164, 168, 175, 195, 197, 199, 200},
    "wflw98": {16, 51, 52, 53, 54, 57, 79, 85, 90, 94},
}
"""Points in the middle of the face, read off the data sets' own figures and the mesh's canonical model (x = 0)."""
SMALL: dict[str, Any] = {
    "name": "small",
    "parts": {"right": "0-1", "left": "2-3", "nose": 4},
    "flip": {"0-1": "2-3"},
    "lines": [[0, 1], [2, 3]],
    "normaliser": [0, 2],
    "eyes": ["0-1", "2-3"],
}


def schema(name: str) -> KeypointSchema:
    content = yaml.safe_load((CONF / "schema" / f"{name}.yaml").read_text())
    return schema_of(content.get("schema", content))


def other_side(name: str) -> str:
    return re.sub("right|left", lambda side: {"right": "left", "left": "right"}[side[0]], name)


def faults_of_flip(schema: KeypointSchema) -> list[str]:
    """What a mirror image of the face would have in another place."""
    flip, faults = schema.flip, []

    def flipped(points: Iterable[int]) -> frozenset[int]:
        return frozenset(flip[point] for point in points)

    if {flipped(line) for line in schema.lines} != {frozenset(line) for line in schema.lines}:
        faults.append("lines")
    if any(flipped(points) != set(schema.parts[other_side(part)]) for part, points in schema.parts.items()):
        faults.append("parts")
    if tuple(flip[point] for point in schema.normaliser) != schema.normaliser[::-1]:
        faults.append("normaliser")
    if flipped(schema.eyes[0]) != set(schema.eyes[1]):
        faults.append("eyes")
    if {point for point, other in enumerate(flip) if point == other} != MIDLINES[schema.name]:
        faults.append("midline")
    worded = schema.name in ("aflw19", "cofw29", "kaggle15")
    if worded and any(schema.names[flip[point]] != other_side(name) for point, name in enumerate(schema.names)):
        faults.append("names")
    return faults


@pytest.mark.parametrize("name", NAMES)
def test_a_mirrored_face_has_the_lines_parts_and_eyes_of_a_face(name: str) -> None:
    assert faults_of_flip(schema(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_flip_is_seen(name: str) -> None:
    """One pair that does not change places, and one point of the middle that does."""
    right = schema(name)
    middle = sorted(MIDLINES[name])[:2]
    wrong = [(point, other, point, other) for point, other in enumerate(right.flip) if point < other]
    for first, second, *others in [*wrong, (*middle, *middle[::-1])]:
        flip = list(right.flip)
        flip[first], flip[second] = others
        assert faults_of_flip(dataclasses.replace(right, flip=tuple(flip)))


def test_the_flip_of_the_68_points_is_the_one_in_common_use() -> None:
    """Lids and lips as pairs of numbers, since lines alone could take upper for lower ones."""
    pairs = {**{i: 16 - i for i in range(8)}, **{17 + i: 26 - i for i in range(5)}, 31: 35, 32: 34}
    pairs |= {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
    pairs |= {48: 54, 49: 53, 50: 52, 56: 58, 55: 59, 60: 64, 61: 63, 65: 67}
    assert {point: other for point, other in enumerate(IBUG68.flip) if point < other} == pairs


def test_the_flip_of_98_points_is_that_of_the_68_among_them() -> None:
    content = yaml.safe_load((CONF / "data" / "mapping" / "wflw98_to_ibug68.yaml").read_text())
    take, wflw = [*point_numbers(content["take"], [], "take")], schema("wflw98")
    assert [wflw.flip[point] for point in take] == [take[point] for point in IBUG68.flip]


@pytest.mark.parametrize("name", NAMES)
def test_plain_data_give_the_schema_again(name: str) -> None:
    given = schema(name)
    assert KeypointSchema.from_dict(json.loads(json.dumps(given.to_dict()))) == given


def test_plain_data_say_points_by_number_range_and_name() -> None:
    small = KeypointSchema.from_dict(SMALL)
    assert small.names == ("right_0", "right_1", "left_0", "left_1", "nose_0")
    assert (small.flip, small.lines, small.eyes) == ((2, 3, 0, 1, 4), ((0, 1), (2, 3)), ((0, 1), (2, 3)))
    named = SMALL | {"names": [*"abcde"], "normaliser": ["a", "c"], "flip": {"a": "c", "b": "d"}}
    again = KeypointSchema.from_dict(named | {"lines": [["a", "b"], ["c", "d"]], "eyes": ["1-0", ["c", 3]]})
    assert again == dataclasses.replace(small, names=tuple("abcde"), eyes=((1, 0), (2, 3)))
    bare = KeypointSchema.from_dict({key: value for key, value in SMALL.items() if key not in ("lines", "eyes")})
    assert (bare.lines, bare.eyes) == ((), ((0,), (2,)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flip": [1, 2, 0, 3, 4]}, "flip: expected its own inverse, found 0 -> 1 -> 2"),
        ({"flip": None}, "flip: expected the pairs that swap"),
        ({"flip": [2, 3, 0, 1]}, "flip: expected 5 points, found 4"),
        ({"flip": {0: 5}}, r"flip: expected as many points \(below 5\) on both sides, found 0: 5"),
        ({"flip": {"0-1": 2}}, "on both sides, found 0-1: 2"),
        ({"flip": {0: 2, 1: 2}}, "flip: expected each point once, found 1: 2"),
        ({"normaliser": [0, 5]}, "normaliser: expected points from 0 to 4, found 5"),
        ({"normaliser": 0, "eyes": None}, "expected"),
        ({"lines": [[0, 5]]}, "lines: expected points from 0 to 4, found 5"),
        ({"lines": "0-1"}, "expected a list, found '0-1'"),
        ({"eyes": ["0-1", 5]}, "eyes: expected points from 0 to 4, found 5"),
        ({"eyes": ["0-1"]}, "eyes: expected the points of two, found 1"),
        ({"parts": {"right": "0-2", "left": "2-3"}}, "parts: expected each point once, found 2 in right and left"),
        ({"names": [*"abcdef"]}, "parts: expected each of the 6 points, found no 5"),
        ({"names": [*"abcda"]}, "expected a name for each point, found a twice"),
        ({"names": [*"abcd", 5]}, "names: expected words, found 5"),
        ({"colour": "red"}, "expected .*, found colour"),
        ({"parts": {"all": f"0-{MAX_POINTS}"}}, f"parts.all: expected points below {MAX_POINTS}, found 0-{MAX_POINTS}"),
        ({"parts": {"all": ["0-4"] * MAX_POINTS}}, f"parts.all: expected at most {MAX_POINTS:,} points, found more"),
        ({"parts": {"all": "0-4", "nose": "tip"}}, "parts.nose: expected numbers, ranges .*, found 'tip'"),
        ({"normaliser": [True, 0]}, "normaliser: expected numbers, ranges .*, found True"),
        ({"normaliser": [-1, 0]}, "normaliser: expected numbers, ranges .*, found -1"),
        ({"parts": None}, "expected parts, found None"),
        ({"name": 5}, "expected a name, found 5"),
    ],
    ids=str,
)
def test_wrong_plain_data_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeypointSchema.from_dict(SMALL | change)


@pytest.mark.parametrize("content", ["ibug69", [1, 2], None])
def test_what_is_no_schema_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="schema"):
        schema_of(content)


def test_a_shift_moves_each_face_by_its_own_size_and_is_undone_by_its_negative() -> None:
    rng = np.random.default_rng(0)
    faces, shift = rng.uniform(0, 100, (5, 68, 2)), np.tile([0.2, 0.0274], (5, 1))
    moved = IBUG68.shifted(faces, shift)
    for before, after in zip(faces, moved, strict=True):
        right = 0.2 + 0.0274 * math.dist(before[36], before[45])
        np.testing.assert_allclose(after - before, np.tile([right, 0.0], (68, 1)))
    np.testing.assert_allclose(IBUG68.shifted(moved, -shift), faces)
    same = IBUG68.shifted(torch.from_numpy(faces), torch.from_numpy(shift))
    np.testing.assert_allclose(same.numpy(), moved)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flip", (1, 2, 0, *range(3, 68)), "its own inverse"),
        ("parts", {"all": tuple(range(67))}, "each of the 68"),
        ("lines", ((0, 68),), "lines: expected points from 0 to 67, found 68"),
        ("normaliser", (36, 36), "normaliser: expected two points"),
    ],
)
def test_a_wrong_schema_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(IBUG68, **{field: value})
