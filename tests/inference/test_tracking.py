"""Following faces, with a made-up world in which detector and net see what the truth allows."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from fkd.detect import Candidates
from fkd.geometry import eye_rolls, square
from fkd.inference.tracking import Tracker
from fkd.schema import IBUG68
from fkd.shape_model import ShapeModel
from fkd.synthetic import face
from fkd.types import Face

SHAPE = face(5, 0, 0, 100)[1].astype(np.float64)
SHAPE = (SHAPE - (SHAPE.min(axis=0) + SHAPE.max(axis=0)) / 2) / np.ptp(SHAPE, axis=0).max()
PROFILE = SHAPE.copy()
PROFILE[range(42, 48)] += PROFILE[36:42].mean(axis=0) - PROFILE[42:48].mean(axis=0) + [0.02, 0.03]
"""Both eyes nearly in one place, with a line between them that is turned by 56 degrees."""
SHAPES = ShapeModel(
    np.float32(SHAPE - SHAPE.mean(axis=0)) / np.linalg.norm(SHAPE - SHAPE.mean(axis=0)).astype(np.float32),
    np.zeros((0, SHAPE.size), np.float32),
    np.zeros(0, np.float32),
    1.0,
)
SIZE = 400, 300


class Seen(NamedTuple):
    """A face of the truth in one frame."""

    x: float
    y: float
    width: float = 40
    roll: float = 0  # degrees
    found: bool = True  # by the detector
    error: float = 0.04  # that the net expects
    shape: np.ndarray = SHAPE

    @property
    def points(self) -> np.ndarray:
        turn = np.exp(1j * np.radians(self.roll))
        there = (self.shape @ [1, 1j]) * self.width * turn + complex(self.x, self.y)
        return np.stack([there.real, there.imag], axis=-1)


Truth = Callable[[int], Sequence[Seen]]


class World:
    """A predictor whose net finds the nearest face in a crop, if it is nearly upright there, and else no face."""

    schema = IBUG68

    def __init__(
        self,
        truth: Truth,
        size: Callable[[int], tuple[int, int]] = lambda number: SIZE,
        shapes: ShapeModel | None = None,
    ) -> None:
        self.truth, self.size, self.now = truth, size, -1
        self.net = SimpleNamespace(metadata=SimpleNamespace(shapes=shapes))
        self.looks: list[int] = []
        self.searched: list[np.ndarray] = []  # squares

    def detect(self, image: np.ndarray) -> Candidates:
        self.looks.append(self.now)
        seen = [each for each in self.truth(self.now) if each.found]
        squares = [square(np.array([each.x, each.y]), np.array(each.width)) for each in seen]
        rolls = np.array([each.roll for each in seen], np.float32)
        return Candidates(np.reshape(squares, (-1, 4)), np.full(len(seen), 0.5, np.float32), rolls=rolls)

    def faces_in(self, image: np.ndarray, candidates: Candidates) -> list[Face]:
        faces = []
        self.searched += [*candidates.squares]
        assert candidates.rolls is not None
        for box, score, roll in zip(candidates.squares, candidates.scores, candidates.rolls, strict=True):
            centre, width = (box[:2] + box[2:]) / 2, box[2] - box[0]
            points, error = np.tile(centre, (68, 1)), 9.0
            if seen := self.truth(self.now):
                best = min(seen, key=lambda each: np.hypot(*(centre - [each.x, each.y])))
                is_near = np.hypot(*(centre - [best.x, best.y])) < 0.65 * width and 0.5 < best.width / width < 2
                if is_near and abs((roll - best.roll + 180) % 360 - 180) <= 30:
                    points, error = best.points, best.error
            errors = np.full(68, error, np.float32)
            faces.append(Face(IBUG68, box, None if np.isnan(score) else float(score), np.float32(points), errors))
        return faces

    def is_plausible(self, face: Face) -> bool:
        return bool(np.ptp(face.keypoints) > 0)

    def run(self, frames: int, every: int = 10) -> list[list[Face]]:
        """The faces of each frame."""
        self.tracker, found = Tracker(self), []  # type: ignore[arg-type]
        for self.now in range(frames):
            width, height = self.size(self.now)
            image = np.zeros((height, width), np.uint8)
            found.append(self.tracker(image, self.detect(image) if self.now % every == 0 else None))
        return found


def ids(frames: Sequence[Sequence[Face]]) -> list[list[int | None]]:
    return [[each.id for each in faces] for faces in frames]


def id_at(faces: Sequence[Face], seen: Seen) -> int | None:
    """The id of the face with these points."""
    (found,) = [each for each in faces if np.abs(each.keypoints - seen.points).max() < 1e-3]
    return found.id


@pytest.mark.parametrize(("shape", "shapes"), [(SHAPE, None), (PROFILE, SHAPES)], ids=["frontal", "profile"])
@pytest.mark.parametrize("turn", [8, -8])
def test_a_face_is_followed_by_its_points_and_the_detector_looks_now_and_then(
    shape: np.ndarray, shapes: ShapeModel | None, turn: float
) -> None:
    """A face that moves, grows and turns; that of a profile is not told by its eyes, but by its whole shape."""
    assert (abs(eye_rolls(shape, IBUG68)) > 30) == (shapes is not None)

    def truth(number: int) -> list[Seen]:
        y = 100 + 20 * np.sin(number / 5)
        return [Seen(60 + 5 * number, y, 40 + number / 3, 40 + turn * number, shape=shape)]

    world = World(truth, shapes=shapes)
    frames = world.run(50)
    assert world.looks == [0, 10, 20, 30, 40]
    assert ids(frames) == [[0]] * 50
    for number, (found,) in enumerate(frames):
        (seen,) = truth(number)
        np.testing.assert_allclose(found.keypoints, seen.points, atol=1e-3)
        np.testing.assert_allclose((found.box[:2] + found.box[2:]) / 2, [seen.x, seen.y], atol=0.2 * seen.width)
        assert found.box[2] - found.box[0] == pytest.approx(seen.width, rel=0.05)  # of the upright shape
        assert found.score == 0.5


def test_without_faces_the_detector_looks_now_and_then() -> None:
    world = World(lambda number: [])
    assert world.run(40) == [[]] * 40
    assert world.looks == [0, 10, 20, 30]


def test_a_face_that_comes_is_found_at_the_next_look() -> None:
    frames = World(lambda number: [Seen(100, 100)] if number >= 12 else []).run(30)
    assert ids(frames) == [[]] * 20 + [[0]] * 10


def test_a_face_that_leaves_is_gone_at_once_and_another_that_comes_later_has_another_id() -> None:
    def truth(number: int) -> list[Seen]:
        x = 305 + 10 * number if number < 60 else 100
        return [Seen(x, 100)] if x < SIZE[0] + 40 else []

    world = World(truth)
    frames = world.run(80)
    assert ids(frames) == [[0]] * 10 + [[]] * 50 + [[1]] * 20  # the centre leaves the image in frame 10
    assert len([look for look in world.looks if 10 < look < 60]) < 12


@pytest.mark.parametrize(("gap", "shift", "kept"), [(3, 0, True), (25, 0, True), (25, 20, True), (45, 0, False)])
def test_a_face_that_is_lost_and_found_near_by_keeps_its_id(gap: int, shift: float, kept: bool) -> None:
    def truth(number: int) -> list[Seen]:
        if number < 12:
            return [Seen(100, 100)]
        return [Seen(100 + shift, 100)] if number >= 12 + gap else []

    frames = World(truth).run(80)
    assert ids(frames)[:12] == [[0]] * 12
    assert all(not faces for faces in frames[12 : 12 + gap])
    assert ids(frames)[-1] == ([0] if kept else [1])


@pytest.mark.parametrize("speed", [4, 9])
@pytest.mark.parametrize("found", [True, False])
def test_faces_that_cross_keep_their_ids(speed: float, found: bool) -> None:
    """One passes behind the other, which hides it; or the detector and net lose both for a while."""

    def truth(number: int) -> list[Seen]:
        front, back = Seen(60 + speed * number, 100), Seen(300 - speed * number, 106)
        is_over = abs(front.x - back.x) < 36
        return [front, back] if not is_over else ([front] if found else [])

    last = int(240 / speed)
    frames = World(truth).run(last)
    before, after = (truth(number) for number in (2, last - 1))
    for start, end in zip(before, after, strict=True):
        assert id_at(frames[-1], end) == id_at(frames[2], start)
    assert max(len(faces) for faces in frames) == 2


def test_two_faces_near_each_other_stay_two() -> None:
    def truth(number: int) -> list[Seen]:
        return [Seen(100 + number % 3, 100), Seen(132, 110 - number % 2)]

    assert ids(World(truth).run(40)) == [[0, 1]] * 40


def test_two_tracks_on_one_face_become_one() -> None:
    """The second face is hidden by the first, and the net finds the first one's points in both crops."""

    def truth(number: int) -> list[Seen]:
        return [Seen(100, 100), *([Seen(115, 100)] if number < 15 else [])]

    frames = World(truth).run(40)
    assert ids(frames) == [[0, 1]] * 15 + [[0]] * 25


def test_a_cut_to_another_scene_begins_other_faces_in_that_frame() -> None:
    def truth(number: int) -> list[Seen]:
        return [Seen(60, 60), Seen(200, 60)] if number < 15 else [Seen(130, 200, 60), Seen(330, 240, 50)]

    assert ids(World(truth).run(30)) == [[0, 1]] * 15 + [[2, 3]] * 15


def test_a_video_that_changes_its_size_begins_anew_in_that_frame() -> None:
    def size(number: int) -> tuple[int, int]:
        return SIZE if number < 15 else (200, 200)

    world = World(lambda number: [Seen(100, 100)], size)
    assert ids(world.run(30)) == [[0]] * 15 + [[1]] * 15
    assert world.looks == [0, 10, 15, 20]


@pytest.mark.parametrize(
    ("after", "is_searched", "number"),
    [(Seen(112, 100), False, 0), (Seen(122, 100), True, 1), (Seen(100, 100, 66), True, 0)],
)
def test_a_jump_or_a_sudden_change_of_size_makes_the_detector_look(after: Seen, is_searched: bool, number: int) -> None:
    """A fast face is still followed by its points alone; one that jumps by half its width is another one."""
    world = World(lambda number: [Seen(100, 100) if number < 15 else after])
    assert ids(world.run(20)) == [[0]] * 15 + [[number]] * 5
    assert (15 in world.looks) == is_searched


def test_points_far_from_the_middle_of_their_crop_are_found_again_around_them() -> None:
    """A face that stood still begins to move: one crop where it stood, another where it is."""
    world = World(lambda number: [Seen(100 if number < 5 else 110, 100)])
    world.run(6)
    assert [float(after - before) for before, after in zip(*world.searched[-2:], strict=True)] == pytest.approx(
        [10, 0] * 2, abs=1e-3
    )


def test_where_the_net_is_no_longer_sure_the_detector_decides() -> None:
    for is_there in (True, False):
        world = World(
            lambda number, is_there=is_there: [
                Seen(100, 100, error=0.04 if number < 15 else 0.12, found=is_there or number < 15)
            ]
        )
        frames = world.run(18)
        assert 15 in world.looks
        assert ids(frames)[15] == ([0] if is_there else [])


def test_a_face_that_the_detector_does_not_find_again_is_not_followed_for_ever() -> None:
    """A false positive, found in one look; and a face that the detector knew for long before it turned away."""
    assert ids(World(lambda number: [Seen(100, 100, found=number == 0)]).run(20)) == [[0]] * 10 + [[]] * 10
    frames = World(lambda number: [Seen(100, 100, found=number < 45)]).run(130)
    assert ids(frames) == [[0]] * 110 + [[]] * 20  # found in frames 0 to 40


def test_a_face_that_the_detector_misses_once_is_found_again_as_fast_as_it_was() -> None:
    """Lost in frame 10, where its points were still found: the next place is expected from there."""
    world = World(lambda number: [Seen(60 + 8 * number, 100, found=number != 10)])
    frames = world.run(13)
    assert ids(frames) == [[0]] * 10 + [[]] + [[0]] * 2
    assert world.looks == [0, 10, 11]
    np.testing.assert_allclose(world.searched[-1], frames[12][0].box, atol=0.1)


def test_an_id_is_given_once() -> None:
    """A face blinks in and out, far from where it was: each time it is another one."""
    frames = World(lambda number: [Seen(60 + 90 * (number // 40 % 4), 100)] if number % 40 < 5 else []).run(400)
    assert ids(frames)[::40] == [[i] for i in range(10)]


def test_no_more_is_held_than_the_faces_of_the_last_frames() -> None:
    """A face comes and goes every fifty frames of ten thousand."""
    world = World(lambda number: [Seen(60 + 37 * number // 50 % 300, 100)] if number % 50 < 20 else [])
    held = 0
    tracker = Tracker(world)  # type: ignore[arg-type]
    image = np.zeros(SIZE[::-1], np.uint8)
    for world.now in range(10_000):
        tracker(image, world.detect(image) if world.now % 10 == 0 else None)
        held = max(held, len(tracker._tracks))
    assert held <= 3
