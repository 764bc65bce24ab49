from functools import cache

import cv2
import numpy as np
import pytest

from fkd import art, images
from fkd.cli import CONF

drawn = cache(lambda name: art.PICTURES[name]())


@pytest.mark.parametrize("name", art.PICTURES)
def test_the_pictures_in_conf_are_what_the_code_draws(name):
    path = CONF / "filter" / f"{name}.png"
    now, found = drawn(name).astype(int), images.read(path, 4)
    assert now.shape == found.shape
    assert np.abs(now[..., 3] - found[..., 3]).max() <= 2  # other builds of OpenCV may round differently
    assert np.abs(now - found)[found[..., 3] > 0].mean() < 0.5
    assert path.stat().st_size < 64_000


@pytest.mark.parametrize("name", art.PICTURES)
def test_nothing_is_cut_off_at_the_edge(name):
    """A shadow may end there when it is hardly visible."""
    alpha = drawn(name)[..., 3]
    assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) <= 12


@pytest.mark.parametrize("name", ["sunglasses", "moustache", "hat", "dog_nose", "dog_tongue"])
def test_both_sides_have_one_outline(name):
    alpha = drawn(name)[..., 3].astype(int)
    middle = {"hat": 256, "sunglasses": 256, "moustache": 256, "dog_nose": 128, "dog_tongue": 100}[name]
    reach = min(middle, alpha.shape[1] - 1 - middle)
    left, right = alpha[:, middle - reach : middle], alpha[:, middle + 1 : middle + 1 + reach]
    assert np.abs(left[:, ::-1] - right).mean() < 1


def test_a_curve_goes_through_its_places():
    places = [(0, 0), (10, 3), (20, -5), (12, -9)]
    for closed in (False, True):
        curve = art.smooth(*places, closed=closed)
        for place in places:
            assert np.linalg.norm(curve - place, axis=1).min() < 1e-9
        assert np.allclose(curve[-1], places[0] if closed else places[-1])


def test_a_mirrored_outline_is_its_own_mirror_image():
    outline = art.mirrored(art.smooth((8, 0), (15, 5), (8, 12)), 8)
    assert np.allclose(outline, outline[::-1] * [-1, 1] + [16, 0])


def test_an_area_is_as_large_as_its_outline_and_holes_are_holes():
    canvas = art.Canvas(60, 40)
    canvas.lay(canvas.area(art.ellipse(30, 20, 15, 10), art.ellipse(30, 20, 6, 4)), (10, 20, 30))
    picture = canvas.picture()
    assert picture.shape == (40, 60, 4)
    assert picture[..., 3].sum() / 255 == pytest.approx(np.pi * (150 - 24), rel=0.1)  # OpenCV fills a touch too far
    assert picture[20, 30, 3] == 0
    assert tuple(picture[20, 40]) == (10, 20, 30, 255)
    y, x = np.nonzero(picture[..., 3] > 127)
    assert (x.mean(), y.mean()) == pytest.approx((30, 20), abs=0.1)


def test_paint_over_paint_is_the_sum_of_both_shares():
    canvas = art.Canvas(8, 8)
    whole = canvas.area(np.array([[-5.0, -5], [20, -5], [20, 20], [-5, 20]]))
    canvas.lay(whole, (200, 0, 100))
    canvas.lay(whole, (0, 100, 50), 0.25)
    assert np.abs(canvas.picture()[4, 4] - np.array([150, 25, 87.5, 255])).max() <= 0.51
    canvas.rub(whole * np.float32(0.5))
    assert np.abs(canvas.picture()[4, 4] - np.array([150, 25, 87.5, 127.5])).max() <= 1


def test_a_fade_is_even():
    canvas = art.Canvas(30, 10)
    fade = cv2.resize(canvas.fade((5, 0), (25, 0)), (30, 10), interpolation=cv2.INTER_AREA)
    assert np.allclose(fade[:, 5:26], np.linspace(0, 1, 21), atol=0.02)
    assert fade[0, 0] == 0
    assert fade[0, -1] == 1
