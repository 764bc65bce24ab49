import cv2
import numpy as np
import pytest

from fkd.schema import IBUG68, KeypointSchema
from fkd.types import Face
from fkd.visualization import draw

GREEN, MAGENTA = (0, 255, 0), (255, 0, 255)


def centre_of_mass(weights):
    ys, xs = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("zoom", [1, 2, 4])
def test_dots_lie_at_sub_pixel_places(zoom):
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = rng.uniform(5, 25, (1, 2)).astype(np.float32)
        image = draw.face(np.zeros((24, 32), np.uint8), point.clip(max=18), zoom=zoom)
        assert image.shape == (24 * zoom, 32 * zoom, 3)
        expected = (point.clip(max=18)[0] + 0.5) * zoom - 0.5
        np.testing.assert_allclose(centre_of_mass(image[..., 0].astype(float)), expected, atol=0.3)


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5])
def test_points_of_a_small_face_stay_apart(shift):
    steps = np.arange(10, 34, 3) + np.float32(shift)
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(1, 64, 2).astype(np.float32)
    image = draw.points(np.zeros((44, 44), np.uint8), points)
    count, _ = cv2.connectedComponents((image[..., 0] > 70).astype(np.uint8))
    assert count == 1 + 64  # the background is one


@pytest.mark.parametrize(("side", "least"), [(20, 0.5), (30, 0.5), (200, 0.0)])
def test_a_small_face_shows_through_its_points(side, least):
    """Of each pixel at least half is the photo's; the points of a large face are opaque."""
    points = 20 + side * np.random.default_rng(0).uniform(0, 1, (68, 2)).astype(np.float32)
    found = Face(IBUG68, np.float32([0, 0, 1, 1]), None, points)
    dark, bright = (draw.faces(np.full((260, 260), level, np.uint8), [found])[20:, 20:] for level in (0, 200))
    shows_through = (bright.astype(float) - dark)[..., 1] / 200
    assert shows_through.min() == pytest.approx(least, abs=0.02)
    assert dark[..., 0].max() > 100


def test_few_points_are_drawn_larger_also_where_they_span_little_of_the_box():
    schema = KeypointSchema.from_dict({"name": "two", "parts": {"eyes": "0-1"}, "flip": {0: 1}, "normaliser": [0, 1]})
    box, black = np.float32([100, 100, 300, 300]), np.zeros((400, 400), np.uint8)

    def radius(points, schema):
        image = draw.faces(black, [Face(schema, box, None, np.float32(points))])
        discs = (image == MAGENTA).all(axis=2).sum() / len(points)
        return (discs / np.pi) ** 0.5

    grid = np.stack(np.meshgrid(np.linspace(110, 290, 17), [150, 190, 230, 270]), axis=-1).reshape(68, 2)
    many, few, close = (
        radius(grid, IBUG68),
        radius([[110, 150], [290, 150]], schema),
        radius([[195, 150], [205, 150]], schema),
    )
    assert many == pytest.approx(0.011 * 180, abs=0.7)
    assert few > 1.6 * many
    assert 0.9 * few / 180 * 100 < close + 0.5 < few + 0.5


def test_between_a_box_and_its_caption_the_photo_is_visible():
    for side, gap in ((15, 3), (100, 6)):
        image = draw.boxes(
            np.zeros((200, 200), np.uint8), np.array([[50, 60, 50 + side, 60 + side]], np.float32), ["1"]
        )
        rows = image[:60, 51:60].max(axis=(1, 2)) > 0
        assert not rows[60 - gap + 2 : 59].any()
        assert rows[60 - gap - 8 : 60 - gap].all()


def test_truth_is_green_prediction_magenta_with_a_line_between():
    preds, target = np.array([[10, 10]], np.float32), np.array([[50, 10]], np.float32)
    image = draw.face(np.full((40, 60, 3), 100, np.uint8), preds, target, zoom=2)
    assert tuple(image[21, 21]) == MAGENTA  # (10 + 0.5) * 2 - 0.5 = 20.5
    assert tuple(image[21, 101]) == GREEN
    assert tuple(image[60, 60]) == (100, 100, 100)
    assert np.abs(image[19:23, 60].astype(int) - 100).max() > 50  # the line, halfway
    assert np.abs(image[25:, :].astype(int) - 100).max() == 0


def test_either_kind_of_points_can_be_left_out():
    points = np.array([[10, 10]], np.float32)
    truth = draw.face(np.zeros((20, 20, 3), np.uint8), None, points)
    assert tuple(truth[10, 10]) == GREEN
    assert tuple(draw.face(np.zeros((20, 20, 3), np.uint8), points)[10, 10]) == MAGENTA


def test_sides_tell_a_labelling_whose_left_and_right_are_swapped():
    parts = {"eyes": (0, 1), "mouth": (2,)}
    schema = KeypointSchema("t", ("a", "b", "c"), parts, (1, 0, 2), ((0, 2),), (0, 1), ((0,), (1,)))
    points = np.array([[5, 5], [25, 5], [15, 20]], np.float32)
    right, swapped = (
        draw.sides(np.zeros((30, 30), np.uint8), each, visible=np.ones(3, bool), schema=schema)
        for each in (points, points[[1, 0, 2]])
    )
    first, second, middle = (tuple(right[int(y), int(x)]) for x, y in points)
    assert len({first, second, middle}) == 3
    assert [tuple(swapped[int(y), int(x)]) for x, y in points] == [second, first, middle]


def test_a_schema_without_lines_has_its_points_drawn_alone():
    points = np.array([[10, 10], [20, 20]], np.float32)
    schema = KeypointSchema.from_dict({"name": "two", "parts": {"eyes": "0-1"}, "flip": {0: 1}, "normaliser": [0, 1]})
    image, canvas = draw.face(np.zeros((30, 30), np.uint8), points, schema=schema), np.zeros((30, 30), np.uint8)
    np.testing.assert_array_equal(image, draw.face(canvas, points))


def test_unknown_true_points_and_their_lines_are_left_out():
    preds, target = np.array([[10, 5], [10, 15]], np.float32), np.array([[30, 5], [30, 15]], np.float32)
    image = draw.face(np.zeros((20, 40), np.uint8), preds, target, visible=np.array([True, False]))
    assert tuple(image[5, 30]) == GREEN
    assert image[15, 20:].max() == 0
    assert tuple(image[15, 10]) == MAGENTA


def test_points_out_of_reach_do_not_disturb_the_others():
    preds = np.array([[np.nan, 3], [1e12, -1e12], [np.inf, 5], [10, 10]], np.float32)
    image = draw.face(np.zeros((20, 20), np.uint8), preds, preds[::-1].copy(), zoom=3)
    assert tuple(image[31, 31]) == MAGENTA  # (10 + 0.5) * 3 - 0.5
    assert (image.max(axis=2) > 0).sum() < 100


def test_skeleton_follows_the_schema_faintly():
    points = np.full((68, 2), 5, np.float32)
    points[0], points[1] = (10, 50), (90, 50)  # the first stroke of the jaw
    image = draw.face(np.zeros((100, 100), np.uint8), points, schema=IBUG68)
    assert 0 < image[50, 50].max() < 150
    assert np.ptp(image[50, 50]) == 0  # white
    assert draw.face(np.zeros((100, 100), np.uint8), points)[50, 50].max() == 0


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_input_is_never_changed(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    points = np.full((68, 2), 12.5, np.float32)
    before, points_before = image.copy(), points.copy()
    draw.face(image, points, points + 3, visible=np.arange(68) > 5, schema=IBUG68)
    draw.boxes(image, np.array([[2, 2, 20, 20]], np.float32), ["a"])
    draw.sheet([image, image], 1, ["a", "b"])
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(points, points_before)


def test_colours_stay_as_they_were():
    image = np.full((10, 10, 3), (10, 120, 230), np.uint8)
    assert tuple(draw.face(image, None, zoom=3)[15, 15]) == (10, 120, 230)
    assert tuple(draw.sheet([image], 1)[5, 5]) == (10, 120, 230)


def test_grey_and_colour_give_the_same_image():
    grey = np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8)
    points = np.array([[12.5, 7.25]], np.float32)
    colour = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(draw.face(grey, points, zoom=2), draw.face(colour, points, zoom=2))


def test_sheet_puts_every_tile_in_its_place():
    tiles = [np.full((20, 30) if i % 2 else (20, 30, 3), 40 * (i + 1), np.uint8) for i in range(5)]
    plain = draw.sheet(tiles, 3)
    assert plain.shape == (2 * 20 + 2, 3 * 30 + 2 * 2, 3)
    captioned = draw.sheet(tiles, 3, ["a long caption that must shrink"] * 5)
    step = (captioned.shape[0] + 2) // 2
    for i in range(5):
        row, column = divmod(i, 3)
        x = column * 32
        assert (plain[row * 22 : row * 22 + 20, x : x + 30] == 40 * (i + 1)).all()
        assert (captioned[row * step : row * step + 20, x : x + 30] == 40 * (i + 1)).all()
        assert captioned[row * step + 20 : (row + 1) * step - 2, x : x + 30].max() > 100  # the caption
    assert (captioned[step:, 64:] == plain[22:, 64:].max()).all()  # no tile there


def test_sheet_is_as_narrow_as_its_tiles():
    assert draw.sheet([np.zeros((5, 7), np.uint8)], 4).shape == (5, 7, 3)


def test_a_caption_that_is_no_utf8_is_drawn_with_an_escape():
    black = np.zeros((40, 200, 3), np.uint8)
    drawn = [draw.sheet([black], 1, [name]) for name in ("a\udcff", r"a\udcff")]
    np.testing.assert_array_equal(*drawn)
    around = np.float32([[20, 20, 30, 30]])
    np.testing.assert_array_equal(*(draw.boxes(black, around, [name]) for name in ("a\udcff", r"a\udcff")))


def test_sheet_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"one size, found sizes \[\(4, 5\), \(4, 6\)\]"):
        draw.sheet([np.zeros((4, 5), np.uint8), np.zeros((4, 6), np.uint8)], 2)
    with pytest.raises(ValueError, match="one or more"):
        draw.sheet([], 2)
    with pytest.raises(ValueError, match="expected 1 captions, found 2"):
        draw.sheet([np.zeros((4, 5), np.uint8)], 2, ["a", "b"])


def test_boxes_outline_their_faces():
    image = draw.boxes(np.zeros((100, 120), np.uint8), np.array([[20, 30, 80, 90]], np.float32))
    ys, xs = np.nonzero(image.max(axis=2) > 128)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (20, 30, 80, 90)
    assert image[33:88, 23:78].max() == 0


@pytest.mark.parametrize("corner", [(10, 40), (10, 0), (-30, -30), (95, 30), (119, 99)])
def test_caption_of_a_box_stays_whole_at_every_edge(corner):
    """As much of its plate shows as in the middle, and the text on it is dark."""
    left, top = corner
    box, empty = np.array([[left, top, left + 50, top + 50]], np.float32), np.full((100, 120), 60, np.uint8)
    image = draw.boxes(empty, box, ["face"])
    middle = draw.boxes(empty, np.array([[40, 40, 90, 90]], np.float32), ["face"])
    plate, expected = (abs(i.astype(int) - (0, 200, 255)).max(axis=2) < 80 for i in (image, middle))
    assert plate.sum() > 0.7 * expected.sum()  # less of the outline may be inside
    ys, xs = np.nonzero(cv2.morphologyEx(plate.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5))))
    assert (image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].max(axis=2) < 50).sum() > 20


@pytest.mark.parametrize(("width", "side", "expected"), [(4000, 1000, 10), (4000, 50, 2), (400, 100, 1), (100, 20, 1)])
def test_lines_of_boxes_suit_the_image_and_the_face(width, side, expected):
    image = draw.boxes(np.zeros((side + 100, width), np.uint8), np.array([[40, 40, 40 + side, 40 + side]], np.float32))
    ink = image[40 + side // 2, :, 2].astype(float).sum() / 255  # across the two upright lines
    assert ink / 2 == pytest.approx(expected, abs=1.6)  # soft edges on both sides


def test_points_of_several_faces_are_magenta():
    preds = np.array([[[10, 10], [20, 12]], [[70, 40], [80, 52]]], np.float32)
    image = draw.points(np.zeros((60, 100), np.uint8), preds)
    for x, y in preds.reshape(-1, 2).astype(int):
        assert tuple(image[y, x]) == MAGENTA
    assert (image[..., 1] == 0).all()
    assert draw.points(np.zeros((6, 9, 3), np.uint8), np.zeros((0, 68, 2), np.float32)).max() == 0


def test_a_face_far_to_the_right_is_drawn_there():
    points = np.array([[18_000, 10]], np.float32)
    image = draw.points(np.zeros((20, 20_000, 3), np.uint8), points[None])
    assert tuple(image[10, 18_000]) == MAGENTA
    boxed = draw.boxes(image * 0, np.array([[18_000, 4, 18_010, 14]], np.float32))
    assert np.nonzero(boxed.max(axis=(0, 2)))[0].min() >= 17_999


def test_rings_are_as_large_as_the_expected_errors():
    points = np.full((68, 2), 50, np.float32)
    points[36], points[45] = (20, 50), (70, 50)  # 50 pixels apart
    errors = np.full(68, 0.4, np.float32)  # 20 pixels
    errors[36] = 0
    found = Face(IBUG68, np.float32([0, 0, 1, 1]), None, points, errors)
    plain, ringed = (draw.faces(np.zeros((120, 120), np.uint8), [found], expected_error=on) for on in (False, True))
    rows, columns = np.nonzero((ringed != plain).any(axis=2))
    distances = np.hypot(np.hypot(columns - 50, rows - 50) - 20, 0), np.abs(np.hypot(columns - 70, rows - 50) - 20)
    assert np.minimum(np.abs(distances[0]), distances[1]).max() < 1.5
    assert len(rows) > 100
    unknown = Face(IBUG68, np.float32([0, 0, 1, 1]), None, points)
    np.testing.assert_array_equal(draw.faces(np.zeros((120, 120), np.uint8), [unknown], expected_error=True), plain)
