"""Which faces stay visible, against hand-made pictures."""

import math

import numpy as np
import pytest

from benchmarks.detectors.pictures import Picture, PictureSet
from benchmarks.hiding import hidden_by, row, visible
from fkd.filters import Blur, Filter
from fkd.schema import IBUG68
from fkd.types import Face, Image, Points

BLUR = Filter({"blur": Blur("face", 0.3, 0)})


def boxed(square: Points) -> Face:
    """A face without keypoints, which is hidden as an oval about its box."""
    return Face(IBUG68, square, None, np.full((68, 2), np.nan, np.float32))


@pytest.mark.parametrize(("chord", "is_visible"), [(-0.5, True), (0.6, True), (0.7, False), (1.0, False)])
def test_a_face_is_visible_up_to_nine_tenths_hidden(chord: float, is_visible: bool) -> None:
    """Pixels left of a chord are hidden; a circle's share left of a chord at c radii is known."""
    share = 1 - (math.acos(chord) - chord * math.sqrt(1 - chord**2)) / math.pi
    assert (share < 0.9) == is_visible
    hidden = np.zeros((200, 300), bool)
    hidden[:, : round(150 + 80 * chord)] = True
    square = np.array([[70, 20, 230, 180]], np.float32)
    assert visible(square, hidden).tolist() == [is_visible]


def test_what_lies_outside_of_the_image_is_not_visible() -> None:
    squares = np.array([[-90, 10, -30, 70], [-30, 10, 30, 70]], np.float32)
    assert visible(squares, np.zeros((100, 100), bool)).tolist() == [False, True]


def test_a_row_of_the_table() -> None:
    """One face is found by both, one only for hiding, one by none; the fourth does not count."""
    squares = np.array([[20, 20, 60, 60], [120, 20, 160, 60], [220, 20, 260, 60], [320, 20, 360, 60]], np.float32)
    image, counts = np.zeros((100, 400, 3), np.uint8), np.array([True, True, True, False])
    shown: list[Image] = []

    def told(number: int) -> object:
        return lambda image: shown.append(image) or [boxed(square) for square in squares[:number]]

    pictures = PictureSet(2, lambda: iter([Picture(image, squares, counts)] * 2))
    title, faces, alone, hiding, areas = row("crowds", pictures, told(1), told(2), BLUR)  # type: ignore[arg-type]
    assert (title, faces, len(shown)) == ("2 crowds", 6, 4)
    assert (alone, hiding) == pytest.approx((200 / 3, 100 / 3), abs=0.01)
    one = 100 * hidden_by(BLUR, [boxed(squares[0])], image.shape).mean()
    assert areas == pytest.approx([one, 2 * one], rel=0.02)
    assert math.pi * 20**2 / 400 < one < 4 * math.pi * 20**2 / 400
