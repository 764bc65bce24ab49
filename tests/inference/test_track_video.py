"""`Predictor.track` with the net and the detector that come with fkd, on synthetic faces that move."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest
import yaml

import fkd
from fkd.detect import build
from fkd.inference.predictor import Predictor
from fkd.inference.smoothing import OneEuro, Smoother
from fkd.synthetic import face
from fkd.types import Face
from tests.conftest import PROJECT

WIDTH, HEIGHT = 320, 240


class Counting:
    """A detector that counts its looks."""

    def __init__(self, predictor: Predictor) -> None:
        self.detector, self.looks = predictor.detector, 0
        self.jitter, self.limit = self.detector.jitter, self.detector.limit

    def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        self.looks += 1
        return self.detector(image, path)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    predictor = fkd.load()
    predictor.detector = Counting(predictor)
    return predictor


def clip(subject: int, places: Sequence[tuple[float, float, float, float]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy frames of a face, and its points (N, 68, 2).

    Args:
        places: of each frame: x and y of the middle of its image, its width in pixels, and its roll in degrees.
    """
    image, points = face(3, subject, 0, 256)
    rng = np.random.default_rng(0)
    frames, truth = [], []
    for x, y, width, roll in places:
        factor = width / 256 * np.exp(1j * np.radians(roll))
        shift = complex(x, y) - factor * complex(127.5, 127.5)
        matrix = np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
        frame = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        frames.append(np.clip(frame + rng.normal(0, 4, frame.shape), 0, 255).astype(np.uint8))
        moved = factor * (points @ [1, 1j]) + shift
        truth.append(np.stack([moved.real, moved.imag], axis=-1))
    return frames, np.array(truth)


def one_face(results: Sequence[Sequence[Face]]) -> np.ndarray:
    """(N, 68, 2) points of the one face of each frame."""
    assert [len(faces) for faces in results] == [1] * len(results)
    return np.array([faces[0].keypoints for faces in results])


def errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) mean distances as shares of the distance of the outer eye corners."""
    return np.linalg.norm(found - truth, axis=2).mean(axis=1) / np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)


def jitter(found: np.ndarray) -> float:
    """Mean movement of the points from frame to frame, in pixels."""
    return float(np.linalg.norm(np.diff(found, axis=0), axis=2).mean())


@pytest.mark.parametrize("roll", [0, 12])
def test_moving_faces_have_points_as_good_as_those_of_each_frame_alone(predictor: Predictor, roll: float) -> None:
    errors_alone, errors_followed = [], []
    for subject in (3, 6):
        waves = [np.array([np.sin(t / 7), np.sin(t / 5), np.sin(t / 9), np.sin(t / 6)]) for t in range(30)]
        frames, truth = clip(subject, [tuple(w * [45, 15, 20, roll] + [160, 120, 190, 0]) for w in waves])
        alone = one_face([found.faces for found in predictor.stream(frames)])
        predictor.detector.looks = 0
        results = [found.faces for found in predictor.track(frames)]
        followed = one_face(results)
        assert predictor.detector.looks == 3
        assert {faces[0].id for faces in results} == {0}
        assert errors(followed, truth).max() < 0.04
        assert errors(followed, alone).mean() < 0.04
        assert jitter(followed - truth) < jitter(alone - truth)
        errors_alone.append(errors(alone, truth).mean())
        errors_followed.append(errors(followed, truth).mean())
    assert np.mean(errors_followed) <= np.mean(errors_alone)


def test_a_face_turned_upside_down_in_a_second_is_followed() -> None:
    """The detector finds it only while it is upright."""
    predictor = fkd.load(detector=build(yaml.safe_load((PROJECT / "conf/detector/haar.yaml").read_text())))
    frames, truth = clip(1, [(160, 120, 170, max(0, 9 * (t - 15))) for t in range(35)])
    results = [found.faces for found in predictor.track(frames)]
    assert errors(one_face(results), truth).max() < 0.08
    assert len(predictor([frames[-1]])[0]) == 0


def test_a_still_face_stays_where_it_is_for_500_frames(predictor: Predictor) -> None:
    frames, truth = clip(2, [(160, 120, 190, 0)] * 20)
    results = [found.faces for found in predictor.track(frames[i % 20] for i in range(500))]
    found, boxes = one_face(results), np.array([faces[0].box for faces in results])
    side = boxes[:, 2] - boxes[:, 0]
    assert np.abs(side[10:] / side[10] - 1).max() < 0.04
    assert np.abs(boxes[-20:].mean(axis=0) - boxes[20:40].mean(axis=0)).max() < 0.002 * side[0]
    assert errors(found[-20:], np.tile(truth[:1], (20, 1, 1))).mean() < 0.04
    alone = one_face([found.faces for found in predictor.stream(frames)])
    smooth = Smoother(OneEuro(1.0, 30.0, 2.0), 30)
    smoothed = one_face([smooth(faces) for faces in results])
    assert jitter(found) < jitter(alone)
    assert jitter(smoothed[30:]) < 0.5 * jitter(found[30:])


def test_a_video_of_nothing_between_two_faces(predictor: Predictor) -> None:
    first, _ = clip(1, [(160, 120, 190, 0)] * 12)
    second, _ = clip(2, [(160, 120, 190, 0)] * 12)
    empty = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 40
    ids = [[found.id for found in each.faces] for each in predictor.track([*first, *empty, *second])]
    assert ids == [[0]] * 12 + [[]] * 48 + [[1]] * 4  # the next look is at frame 60


def test_frames_are_taken_as_they_come(predictor: Predictor) -> None:
    taken = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.full((60, 80), 90, np.uint8)

    for number, found in enumerate(stream := predictor.track(frames())):
        assert found.faces == []
        assert found.image is not None
        assert taken <= number + 20
        if number == 60:
            break
    stream.close()


def test_what_cannot_be_tracked_is_refused_at_the_call(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="track: expected a predictor that does not hide faces"):
        fkd.load(hiding=True).track([np.zeros((9, 9), np.uint8)])
    for wrong in (0, -1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"detect_every: expected a whole number from 1 on, found {wrong}"):
            predictor.track([np.zeros((9, 9), np.uint8)], detect_every=wrong)
    with pytest.raises(ValueError, match="expected a path or an array of uint8 pixels"):
        next(predictor.track([np.zeros((9, 9))], detect_every=np.int64(2)))
