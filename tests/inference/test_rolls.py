"""Detectors that know how faces are turned: the net sees upright crops."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

import fkd
from fkd.detect import Candidates, Detections
from fkd.geometry import Jitter, Window, square, square_around
from fkd.inference.predictor import Predictor
from fkd.synthetic import face

SIDE = 420
PIVOT = np.array([209.5, 209.5])


class Told:
    """Gives one square with a roll, or without one."""

    jitter, limit = Jitter(0.1, 0.1, 0.04), None

    def __init__(self, square: np.ndarray, *rolls: np.ndarray) -> None:
        self.found = square[None], np.ones(1, np.float32), *rolls

    def __call__(self, image: np.ndarray, path: str | None = None) -> Detections | tuple[np.ndarray, ...]:
        return self.found

    def for_hiding(self, image: np.ndarray, path: str | None = None) -> Candidates:
        squares, scores, *rolls = self.found
        return Candidates(squares, scores, np.zeros((0, 4), np.float32), *rolls)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A grey image with a synthetic face away from its centre, and the face's points."""
    image, points = face(3, 1, 0, 200)
    photo = np.full((SIDE, SIDE, *image.shape[2:]), 90, np.uint8)
    photo[130:330, 60:260] = image
    return photo, points + np.float32([60, 130])


def turning(roll: float) -> Callable[[np.ndarray], np.ndarray]:
    """Turns points (..., 2) clockwise on the photo, about its middle."""
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return lambda points: (points - PIVOT) @ np.array([[cos, sin], [-sin, cos]]) + PIVOT


@pytest.mark.parametrize("hiding", [False, True])
@pytest.mark.parametrize("roll", [0, 30, 90, 180, -45])
def test_a_turned_face_has_the_turned_points_of_the_upright_one(roll: float, hiding: bool) -> None:
    net = fkd.load("wild").net
    net.metadata = replace(net.metadata, window=Window(1.35, 0.1))
    photo, points = scene()
    box = square_around(points)
    (upright,) = Predictor(net, Told(box), False, SIDE**2)(photo)
    turn = turning(roll)
    # cv2 turns counter-clockwise
    matrix = cv2.getRotationMatrix2D(tuple(PIVOT), -roll, 1)
    turned_photo = cv2.warpAffine(photo, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    turned_box = square(turn((box[:2] + box[2:]) / 2), box[2] - box[0])
    detector = Told(turned_box, np.float32([roll]))
    (turned,) = Predictor(net, detector, False, SIDE**2, hiding)(np.asarray(turned_photo))
    eyes = np.linalg.norm(points[36] - points[45])
    assert np.linalg.norm(upright.keypoints - points, axis=1).mean() < 0.1 * eyes  # the net knows the face
    assert np.linalg.norm(turned.keypoints - turn(upright.keypoints), axis=1).mean() < 0.015 * eyes
    np.testing.assert_array_equal(turned.box, turned_box)


def test_a_detector_may_give_no_rolls() -> None:
    photo, points = scene()
    net, box = fkd.load("wild").net, square_around(points)
    answers = [Told(box), Told(box, np.zeros(1, np.float32))]
    first, second = (Predictor(net, detector, False, SIDE**2)(photo)[0].keypoints for detector in answers)
    np.testing.assert_array_equal(first, second)
