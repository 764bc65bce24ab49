import cv2
import numpy as np
import pytest

from fkd.geometry import (
    Correction,
    Crop,
    Jitter,
    Window,
    adjust,
    crop_matrices,
    eye_rolls,
    invert,
    square,
    square_around,
    transform,
    warp,
)
from fkd.schema import IBUG68
from fkd.synthetic import face

RNG = np.random.default_rng(0)


def test_inverse_points_undoes_points() -> None:
    for _ in range(50):
        left, top, side = RNG.uniform(-50, 200), RNG.uniform(-50, 200), RNG.uniform(5, 400)
        crop = Crop.from_box(np.array([left, top, left + side, top + side], np.float32), int(RNG.integers(16, 256)))
        points = RNG.uniform(-100, 500, (68, 2)).astype(np.float32)
        np.testing.assert_allclose(crop.inverse_points(crop.points(points)), points, atol=2e-3)


def test_the_edges_of_the_box_are_the_edges_of_the_crop() -> None:
    crop = Crop.from_box(np.array([10, 20, 58, 68], np.float32), 96)
    corners = np.array([[10, 20], [58, 68], [34, 44]], np.float32)
    np.testing.assert_allclose(crop.points(corners), [[-0.5, -0.5], [95.5, 95.5], [47.5, 47.5]], atol=1e-4)


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    photo = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    crop = Crop.from_box(np.array([-0.5, -0.5, 63.5, 63.5], np.float32), 64)
    assert (crop.image(photo) == photo).all()


@pytest.mark.parametrize("side", [20.0, 64.0, 150.0, 400.0, 900.0])
def test_pixels_move_as_points_do(side: float) -> None:
    """The centre of mass of a drawn disc, found in the crop's pixels, is where its centre's coordinates go."""
    photo, centre = np.zeros((1000, 1000), np.uint8), np.array([[517.0, 483.0]], np.float32)
    cv2.circle(photo, (517, 483), max(int(side / 12), 2), 255, cv2.FILLED)
    left, top = 517 - 0.6 * side, 483 - 0.3 * side
    crop = Crop.from_box(np.array([left, top, left + side, top + side], np.float32), 96)
    image = crop.image(photo).astype(np.float64)
    y, x = np.indices(image.shape)
    inside = crop.points(centre)[0]
    found = [(x * image).sum() / image.sum(), (y * image).sum() / image.sum()]
    np.testing.assert_allclose(found, inside, atol=0.15)


def test_shrinking_averages_all_pixels() -> None:
    """A fine checkerboard becomes even grey, not a moire of the pixels that happened to be sampled."""
    photo = (np.indices((960, 960)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = Crop.from_box(np.array([-0.5, -0.5, 959.5, 959.5], np.float32), 96).image(photo)
    assert np.ptp(image[2:-2, 2:-2].astype(int)) <= 2


@pytest.mark.parametrize("shape", [(1, 40_000), (40_000, 1), (300, 40_000)])
@pytest.mark.parametrize("side", [7, 150, 90_000])
def test_a_window_anywhere_on_a_photo_wider_than_opencv_warps(shape: tuple[int, int], side: int) -> None:
    """As on the part of the photo that it shows."""
    photo = RNG.integers(0, 256, shape, np.uint8)
    x, y = min(35_000, shape[1] / 2), min(35_000, shape[0] / 2)
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    shown = Crop.from_box(box, 48).image(photo)
    assert shown.shape == (48, 48)
    if side == 7 and min(shape) > 1:
        left, top = int(x) - 32, int(y) - 32
        part = Crop.from_box(box - np.float32([left, top, left, top]), 48).image(
            photo[top : top + 64, left : left + 64]
        )
        np.testing.assert_allclose(shown.astype(int), part.astype(int), atol=2)


@pytest.mark.parametrize(("photo", "out"), [((40, 40), (8, 8, 3)), ((40, 40, 3), (8, 8)), ((40, 40, 4), (8, 8, 3))])
def test_a_crop_of_other_channels_is_refused(photo: tuple[int, ...], out: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected a photo with the crop"):
        warp(np.full(photo, 9, np.uint8), np.eye(2, 3), np.zeros(out, np.uint8))


def test_an_empty_box_is_refused() -> None:
    for box in ([5, 5, 5, 9], [np.nan, 0, 1, 1], [0, 0, 10, 40]):
        with pytest.raises(ValueError, match="box"):
            Crop.from_box(np.array(box, np.float32), 96)


def test_square_around_holds_all_points_and_touches_two_sides() -> None:
    points = RNG.uniform(0, 100, (30, 68, 2)).astype(np.float32)
    boxes = square_around(points)
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], rtol=1e-5)
    low, high = points.min(axis=1), points.max(axis=1)
    assert (boxes[:, :2] <= low + 1e-3).all()
    assert (boxes[:, 2:] >= high - 1e-3).all()
    np.testing.assert_allclose(sides[:, 0], (high - low).max(axis=1), rtol=1e-5)


def test_adjust_moves_by_widths_then_scales() -> None:
    box = np.array([10, 20, 30, 40], np.float32)
    np.testing.assert_allclose(adjust(box, 2.0, x=0.5, y=-0.25), [10, 5, 50, 45])


def test_jitter_has_the_spread_it_was_given() -> None:
    boxes = np.tile(np.array([0, 0, 100, 100], np.float32), (20000, 1))
    moved = Jitter(scale=0.10, x=0.09, y=0.04)(boxes, np.random.default_rng(0))
    side, centre = moved[:, 2] - moved[:, 0], (moved[:, :2] + moved[:, 2:]) / 2
    # Cut at 2.5 sd, the standard deviation is 1.1 % smaller than asked for.
    np.testing.assert_allclose(side.std() / 100, 0.10, rtol=0.04)
    np.testing.assert_allclose(centre.std(axis=0) / 100, [0.09, 0.04], rtol=0.04)
    np.testing.assert_allclose([side.mean(), *centre.mean(axis=0)], [100, 50, 50], rtol=0.01)


def test_invert_undoes_transform_for_any_affine_map() -> None:
    matrix = RNG.normal(size=(8, 2, 3)).astype(np.float32)
    points = RNG.normal(size=(8, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(transform(transform(points, matrix), invert(matrix)), points, atol=1e-3)


def test_squares_far_from_the_first_pixel_are_squares_though_their_edges_are_rounded() -> None:
    far = np.float32([-0.10669995099306107, 32749.021484375, 1.0866999626159668, 32750.216796875])
    for box in (far, square(np.array([0.0, 5e7]), np.array(1.0))):
        matrix = crop_matrices(box, 64)
        assert matrix[0, 0] == matrix[1, 1] == pytest.approx(64 / (box[2] - box[0]))
    with pytest.raises(ValueError, match="of a square"):
        crop_matrices(np.float32([0, 32749, 1, 32750.1]), 64)


@pytest.mark.parametrize("roll", [0, 30, 90, 180, -45])
def test_a_turned_face_has_the_crop_of_the_upright_one(roll: float) -> None:
    """Points are turned about any place as complex numbers; their crop pixels stay the same."""
    box, pivot = np.float32([40, 30, 90, 80]), 17 - 240j
    points = RNG.uniform(20, 100, (30, 2))
    turn = np.exp(1j * np.radians(roll))

    def turned(places: np.ndarray) -> np.ndarray:
        there = (places @ [1, 1j] - pivot) * turn + pivot
        return np.stack([there.real, there.imag], axis=-1)

    centre = turned(np.array([65.0, 55.0]))
    there = square(centre, np.array(50.0))
    rolls = np.array(roll)
    before = crop_matrices(Window(1.4, 0.2)(Correction(0.8, -0.1, 0.3)(box)), 64)
    after = crop_matrices(Window(1.4, 0.2)(Correction(0.8, -0.1, 0.3)(there, rolls), rolls), 64, rolls)
    np.testing.assert_allclose(transform(turned(points), after), transform(points, before), atol=1e-3)


def test_faces_with_no_roll_have_the_same_crops_to_the_last_digit() -> None:
    boxes = square(RNG.uniform(-50, 900, (200, 2)), RNG.uniform(5, 400, 200))
    np.testing.assert_array_equal(crop_matrices(boxes, 96, np.zeros(200)), crop_matrices(boxes, 96))
    np.testing.assert_array_equal(adjust(boxes, 1.2, 0.3, -0.2, np.zeros(200)), adjust(boxes, 1.2, 0.3, -0.2))


@pytest.mark.parametrize("roll", [0, 30, 90, 180, -45])
def test_the_square_around_a_turned_face_is_the_turned_square(roll: float) -> None:
    points, pivot, turn = RNG.uniform(20, 100, (30, 2)), 300 - 40j, np.exp(1j * np.radians(roll))
    left, top, right, bottom = square_around(points)
    centre = (complex((left + right) / 2, (top + bottom) / 2) - pivot) * turn + pivot
    there = (points @ [1, 1j] - pivot) * turn + pivot
    found = square_around(np.stack([there.real, there.imag], axis=-1), np.array(roll))
    expected = [centre.real, centre.imag, right - left]
    np.testing.assert_allclose(
        [(found[0] + found[2]) / 2, (found[1] + found[3]) / 2, found[2] - found[0]], expected, rtol=1e-5
    )


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, -120])
def test_eyes_turn_with_the_face_clockwise(degrees: float) -> None:
    _, points = face(3, 0, 0, 160)
    upright = eye_rolls(points, IBUG68)
    matrix = cv2.getRotationMatrix2D((80, 80), -degrees, 1)  # OpenCV counts counter-clockwise
    apart = eye_rolls(transform(points[None], matrix), IBUG68) - upright - degrees
    np.testing.assert_allclose(np.cos(np.radians(apart)), 1, atol=1e-6)
