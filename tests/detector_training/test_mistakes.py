from collections.abc import Sequence

import numpy as np

from fkd.detect import Detections
from fkd.detector_training import mistakes
from fkd.detector_training.photos import Labels, Photo
from fkd.detector_training.targets import maps_of
from fkd.geometry import square
from fkd.types import Image, Points


def squares(*faces: tuple[float, float, float]) -> Points:
    x, y, side = np.array(faces, np.float32).reshape(-1, 3).T
    return square(np.stack([x, y], axis=1), side)


class Told:
    """Gives the boxes that it was told."""

    def __init__(self, boxes: Points, scores: Sequence[float]) -> None:
        self.found = Detections(boxes, np.array(scores, np.float32))

    def __call__(self, image: Image, path: str | None = None) -> Detections:
        return self.found


FOUND, MISSED, CUP, CHILD, SHADOW = (60, 60, 40), (160, 60, 40), (60, 200, 40), (160, 200, 48), (250, 250, 30)
PHOTO = Photo("a.jpg", np.zeros((320, 320), np.uint8), Labels.of(squares(FOUND, MISSED), np.zeros(2), np.ones(2)))
DETECTOR = Told(squares(FOUND, CUP, CHILD, SHADOW), [0.9, 0.4, 0.8, 0.1])  # the shadow is below the least score


def test_false_boxes_and_missed_faces_are_mistakes() -> None:
    (made,) = mistakes.of_all_known(DETECTOR, [PHOTO])  # type: ignore[arg-type]
    np.testing.assert_array_equal(made.mistakes, squares(CUP, CHILD, MISSED))
    assert made.labels is PHOTO.labels


def test_where_the_detector_is_sure_of_an_unknown_face_nothing_is_learned() -> None:
    (made,) = mistakes.of_some_known(DETECTOR, [PHOTO])  # type: ignore[arg-type]
    np.testing.assert_array_equal(made.mistakes, squares(CUP, MISSED))
    maps = maps_of(made.labels, 320)
    child, cup = (200 // 8, 160 // 8), (200 // 8, 60 // 8)
    assert (maps[6][child], maps[6][cup]) == (0, 1)
    assert maps[0][child] == maps[0][cup] == 0
    np.testing.assert_array_equal(maps[0], maps_of(PHOTO.labels, 320)[0])


def test_textures_are_kept_where_a_face_is_seen() -> None:
    class Bright(Told):
        def __call__(self, image: Image, path: str | None = None) -> Detections:
            return (
                self.found if image.mean() > 140 else Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
            )

    kept = mistakes.of_textures(Bright(squares(CUP), [0.5]), np.random.default_rng(0))  # type: ignore[arg-type]
    assert 50 < len(kept) < 950
    assert all(photo.image.mean() > 140 and len(photo.mistakes) == 1 and not len(photo.labels.sides) for photo in kept)
