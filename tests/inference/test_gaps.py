from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fkd.inference.gaps import bridged
from fkd.schema import IBUG68
from fkd.types import Face

SHAPE = np.random.default_rng(0).uniform(-20, 20, (68, 2))
REACH = 3


def face(x: float, score: float | None = 1.0) -> Face:
    """A face 40 pixels wide with its centre at (x, 50)."""
    keypoints, each = np.float32(SHAPE + np.array([x, 50])), np.full(68, 0.5, np.float32)
    return Face(IBUG68, np.float32([x - 20, 30, x + 20, 70]), score, keypoints, each, each)


def followed(sightings: Sequence[Sequence[float]]) -> list[list[Face]]:
    """The faces of each frame, of faces that are found at places x."""
    frames = list(bridged(((number, [face(x) for x in places]) for number, places in enumerate(sightings)), REACH))
    assert [number for number, _ in frames] == list(range(len(sightings)))
    for places, (_, faces) in zip(sightings, frames, strict=True):  # what was found comes first, as it was
        for x, found in zip(places, faces, strict=False):
            np.testing.assert_array_equal(found.box, face(x).box)
            np.testing.assert_array_equal(found.keypoints, face(x).keypoints)
    return [faces for _, faces in frames]


def covers(faces: Sequence[Face], x: float) -> bool:
    """Whether a face at place x lies in the box and among the points of one of the faces."""
    true = face(x)
    return any(
        (found.box[:2] <= true.box[:2] + 1e-3).all()
        and (found.box[2:] >= true.box[2:] - 1e-3).all()
        and (found.keypoints.min(axis=0) <= true.keypoints.min(axis=0) + 1e-3).all()
        and (found.keypoints.max(axis=0) >= true.keypoints.max(axis=0) - 1e-3).all()
        for found in faces
    )


def test_nothing_is_added_to_a_face_that_is_found_in_every_frame() -> None:
    frames = followed([[100 + 5 * number, 300] for number in range(10)])
    assert [len(faces) for faces in frames] == [2] * 10


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_face_that_is_lost_for_some_frames_moves_evenly(gap: int) -> None:
    places = [100 + 6 * number for number in range(8 + gap)]
    frames = followed([[] if 4 <= number < 4 + gap else [x] for number, x in enumerate(places)])
    assert all(covers(faces, x) for x, faces in zip(places, frames, strict=True))
    for found in (found for faces in frames[4 : 4 + gap] for found in faces):
        assert (found.score, found.expected_error, found.visible) == (None, None, None)


def test_a_face_is_there_for_some_frames_before_it_is_found_and_after() -> None:
    frames = followed([[]] * 6 + [[100]] * 2 + [[]] * 6)
    assert [covers(faces, 100) for faces in frames] == [False] * 3 + [True] * 8 + [False] * 3
    widths = [faces[0].box[2] - faces[0].box[0] for faces in frames[3:11]]
    np.testing.assert_allclose(widths, [46, 44, 42, 40, 40, 42, 44, 46], rtol=1e-5)


def test_a_gap_of_twice_the_reach_has_no_frame_without_the_face() -> None:
    frames = followed([[100], *[[]] * (2 * REACH), [100]])
    assert all(covers(faces, 100) for faces in frames)


def test_a_face_that_jumps_is_another_one_and_both_places_stay() -> None:
    frames = followed([[100], [100], [140], [140]])
    assert all(covers(faces, 100) and covers(faces, 140) for faces in frames)


def test_a_face_that_may_be_another_one_does_not_end_the_hiding_of_the_first() -> None:
    """One is lost, and after two frames one appears three quarters of a width from there."""
    frames = followed([[100], [], [], [128], [128]])
    assert all(covers(faces, 100) for faces in frames[:4])
    assert all(covers(faces, x) for x, faces in zip((100, 109, 119, 128, 128), frames, strict=True))


def test_the_nearest_face_is_the_one_that_goes_on() -> None:
    frames = followed([[100, 118], [], [117, 101]])
    assert covers(frames[1], 100.5)
    assert covers(frames[1], 117.5)


def test_boxes_without_points_are_passed_on_and_not_followed() -> None:
    unknown = Face(IBUG68, np.float32([0, 0, 9, 9]), None, np.full((68, 2), np.nan, np.float32))
    frames = [faces for _, faces in bridged([(0, []), (1, [unknown]), (2, [])], REACH)]
    assert frames == [[], [unknown], []]


def test_no_more_frames_are_held_than_the_reach() -> None:
    taken = 0

    def frames() -> Iterator[tuple[int, list[Face]]]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number, [face(100)]

    for number, _ in bridged(frames(), REACH):
        assert taken <= number + REACH + 1
