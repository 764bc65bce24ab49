"""Scores by condition against faces picked by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fkd.evaluation.conditions import breakdown, breakdown_table
from fkd.schema import IBUG68, KeypointSchema
from fkd.types import Annotations
from tests.test_head_pose import seen


@pytest.fixture
def table() -> Annotations:
    """Four faces: eye distances of 20, 45, 45 and 100 pixels, yaw of 0, 0, 40 and -20 degrees."""
    faces = [seen(0, 0, 0), seen(0, 0, 0), seen(40, 0, 0), seen(-20, 0, 0)]
    scaled = [face * size / IBUG68.interocular(face) for face, size in zip(faces, (20, 45, 45, 100), strict=True)]
    rows = len(scaled)
    names = np.array([str(row) for row in range(rows)])
    visible, shift = np.ones((rows, 68), bool), np.zeros((rows, 2), np.float32)
    return Annotations(IBUG68, names, np.arange(rows), np.stack(scaled).astype(np.float32), visible, names, shift)


def test_each_range_has_its_own_faces(table: Annotations) -> None:
    found = np.array([True, True, True, False])
    curve = np.array([3.0, 5.0, 12.0, np.inf])
    content = breakdown(SimpleNamespace(curve=curve, found=found), table)  # type: ignore[arg-type]
    sizes, yaw = content["eye distance, px"], content["yaw, degrees"]
    assert sizes["below 30"] == {"faces": 1, "nme": 3.0, "failure_rate_10": 0.0}
    assert sizes["30 to 60"] == {"faces": 2, "nme": 8.5, "failure_rate_10": 50.0}
    assert sizes["above 60"]["failure_rate_10"] == 100
    assert sizes["above 60"]["nme"] is None  # missed: no error was measured
    assert {name: values["faces"] for name, values in yaw.items()} == {"below 15": 2, "15 to 30": 1, "above 30": 1}
    assert "above 20" not in content["roll, degrees"]
    for ranges in content.values():
        assert sum(values["faces"] for values in ranges.values()) == len(table)
    assert breakdown_table(content).row_count == sum(map(len, content.values()))


def test_a_head_is_turned_as_known_points_say(table: Annotations) -> None:
    """Hidden points are filled in: a face that has some counts by its size alone."""
    scores = SimpleNamespace(curve=np.ones(4), found=np.ones(4, bool))
    table.visible[2, 5] = False  # that of 40 degrees
    content = breakdown(scores, table)  # type: ignore[arg-type]
    sizes, yaw = content["eye distance, px"], content["yaw, degrees"]
    assert {name: values["faces"] for name, values in sizes.items()} == {"below 30": 1, "30 to 60": 2, "above 60": 1}
    assert {name: values["faces"] for name, values in yaw.items()} == {"below 15": 2, "15 to 30": 1}
    table.visible[:, 0] = False
    assert [*breakdown(scores, table)] == ["eye distance, px"]  # type: ignore[arg-type]


def test_pose_is_read_off_the_68_points_whatever_another_schema_is_called(table: Annotations) -> None:
    scores = SimpleNamespace(curve=np.ones(4), found=np.ones(4, bool))
    same = replace(table, schema=KeypointSchema.from_dict(IBUG68.to_dict()))
    assert breakdown(scores, same) == breakdown(scores, table)  # type: ignore[arg-type]
    other = replace(table, schema=replace(IBUG68, names=tuple(f"point {i}" for i in range(68))))
    assert [*breakdown(scores, other)] == ["eye distance, px"]  # type: ignore[arg-type]
