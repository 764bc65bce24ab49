from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fkd import synthetic
from fkd.cli.command import CONF
from fkd.errors import UserError
from fkd.filters import Blur, Filter, Sticker
from fkd.geometry import square_around
from fkd.io import images
from fkd.schema import IBUG68
from fkd.synthetic.render import face as synthetic_face
from fkd.types import Face
from fkd.visualization import compositing

FILTERS = sorted(path.stem for path in (CONF / "filter").glob("*.yaml"))
CORNERS = (0, 16, 8, 27)  # the keypoints that the tests' stickers hang on


def face_of(points: np.ndarray) -> Face:
    points = points.astype(np.float32)
    return Face(IBUG68, square_around(np.nan_to_num(points)), None, points)


def face_with(places: Mapping[int, tuple[float, float]]) -> Face:
    """A face of which some points matter."""
    points = np.random.default_rng(0).uniform(0, 50, (68, 2))
    for key, place in places.items():
        points[key] = place
    return face_of(points)


@pytest.fixture
def sticker(tmp_path: Path):
    """Makes a sticker of RGBA pixels that hangs on its own corners."""

    def make(pixels: np.ndarray, warp: str = "similarity", order: float = 0) -> Sticker:
        images.write(tmp_path / "image.png", pixels)
        height, width = pixels.shape[:2]
        places = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
        return Sticker(str(tmp_path / "image.png"), dict(zip(CORNERS, places, strict=True)), warp, order)

    return make


def hung(shape: tuple[int, ...], matrix: np.ndarray) -> Face:
    """The face on which an image of that shape comes to lie as the (3, 3) matrix maps it."""
    height, width = shape[:2]
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [width - 1, height - 1, 1], [0, height - 1, 1]]) @ matrix.T
    return face_with(dict(zip(CORNERS, corners[:, :2] / corners[:, 2:], strict=True)))


def turned(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


def opaque(height: int, width: int) -> np.ndarray:
    """Opaque pixels but for one, since an image without any transparent pixel is refused."""
    pixels = np.dstack([noise(height, width), np.full((height, width), 255, np.uint8)])
    pixels[0, 0, 3] = 0
    return pixels


def smooth_photo(height: int, width: int) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(noise(height, width), (0, 0), 5))


# The warps.

AFFINE = np.array([[1.3, 0.4, -7], [-0.2, 0.8, 12], [0, 0, 1]])
PERSPECTIVE = np.array([[1.3, 0.4, -7], [-0.2, 0.8, 12], [1e-3, -5e-4, 1]])


@pytest.mark.parametrize(
    ("fit", "matrix"),
    [
        (compositing.similarity, turned(35, 1.7, 30, -20)),
        (compositing.affine, turned(-120, 0.2, 3, 9)),
        (compositing.affine, AFFINE),
        (compositing.homography, AFFINE),
        (compositing.homography, PERSPECTIVE),
    ],
)
def test_a_known_map_is_found_again(fit, matrix):
    source = np.random.default_rng(0).uniform(0, 100, (7, 2))
    moved = np.column_stack([source, np.ones(7)]) @ matrix.T
    found = fit(source, moved[:, :2] / moved[:, 2:])
    assert np.allclose(found / found[2, 2], matrix, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fit", [compositing.similarity, compositing.affine, compositing.homography])
def test_no_near_map_of_the_kind_fits_better(fit):
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 100, (8, 2))
    target = source * 0.5 + rng.normal(0, 5, (8, 2))
    matrix = fit(source, target)

    def distance(matrix: np.ndarray) -> float:
        moved = np.column_stack([source, np.ones(8)]) @ matrix.T
        return float(np.square(moved[:, :2] / moved[:, 2:] - target).sum())

    around = np.array([[1, 0, -50], [0, 1, -50], [0, 0, 1]])  # small changes about the middle of the points
    size = {compositing.affine: [[0.01], [0.01], [0]], compositing.homography: [[0.01], [0.01], [1e-4]]}.get(fit)
    for _ in range(50):
        change = turned(rng.normal(0, 0.5), 1 + rng.normal(0, 0.01), *rng.normal(0, 0.1, 2))
        if size is not None:
            change = np.eye(3) + rng.normal(0, size, (3, 3))
        assert distance(matrix) <= distance(matrix @ np.linalg.inv(around) @ change @ around) + 1e-6


# Painting.


@pytest.mark.parametrize("warp", ["similarity", "affine", "homography"])
def test_an_opaque_sticker_in_its_own_size_is_itself(sticker, warp):
    pixels, photo = opaque(30, 40), noise(60, 80)
    found = Filter({"a": sticker(pixels, warp)})(photo, [hung(pixels.shape, turned(0, 1, 11, 7))])
    expected = photo.copy()
    expected[7:37, 11:51] = pixels[..., :3]
    expected[7, 11] = photo[7, 11]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_half_alpha_is_half_of_each(sticker):
    pixels, photo = np.full((30, 40, 4), (200, 40, 10, 128), np.uint8), noise(60, 80)
    found = Filter({"a": sticker(pixels)})(photo, [hung(pixels.shape, turned(0, 1, 11, 7))])
    expected = photo[7:37, 11:51] * (1 - 128 / 255) + np.array([200, 40, 10]) * 128 / 255
    assert np.abs(found[7:37, 11:51] - expected).max() <= 0.51
    found[7:37, 11:51] = photo[7:37, 11:51]
    assert np.array_equal(found, photo)


@pytest.mark.parametrize("scale", [0.07, 0.5, 1, 3.3])
@pytest.mark.parametrize("value", [0, 255])
def test_edges_have_no_fringes(sticker, scale, value):
    """Colours beneath a transparent pixel, here the opposite ones, must not show."""
    y, x = np.mgrid[:100, :120]
    alpha = np.clip(400 - 9 * np.hypot(x - 60, y - 50), 0, 255)
    pixels = np.dstack([np.where(alpha[..., None] > 0, value, 255 - value) + np.zeros(3), alpha]).astype(np.uint8)
    photo = np.full((400, 400, 3), value, np.uint8)
    found = Filter({"a": sticker(pixels)})(photo, [hung(pixels.shape, turned(20, scale, 60, 20))])
    assert np.abs(found.astype(int) - photo).max() <= 1


def test_a_image_much_larger_than_the_face_is_averaged(sticker):
    """Stripes one pixel wide become grey; sampling would find black or white."""
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[:, ::2, :3], pixels[..., 3], pixels[0, 0, 3] = 255, 255, 0
    found = Filter({"a": sticker(pixels)})(
        np.zeros((60, 60, 3), np.uint8), [hung(pixels.shape, turned(10, 0.1, 20, 9))]
    )
    inside = found[20:28, 24:36]
    assert np.abs(inside.astype(int) - 127).max() < 12


@pytest.mark.parametrize("scale", [0.06, 0.31, 0.9, 2.7])
def test_a_sticker_of_any_size_lies_where_it_should(sticker, scale):
    pixels = np.zeros((201, 301, 4), np.uint8)
    cv2.circle(pixels, (220, 60), 40, (255, 255, 255, 255), cv2.FILLED)
    matrix = turned(25, scale, 90, 40)
    photo = np.zeros((700, 800, 3), np.uint8)
    found = Filter({"a": sticker(pixels)})(photo, [hung(pixels.shape, matrix)])[..., 0] / 255
    y, x = np.mgrid[:700, :800]
    middle = np.array([(x * found).sum(), (y * found).sum()]) / found.sum()
    assert np.abs(middle - (matrix @ (220, 60, 1))[:2]).max() < 0.06
    assert found.sum() == pytest.approx((pixels[..., 3] / 255).sum() * scale**2, rel=0.02)


@pytest.mark.parametrize("warp", ["similarity", "affine", "homography"])
def test_a_turned_photo_wears_a_turned_sticker(sticker, warp):
    pixels = np.dstack([smooth_photo(50, 70), np.full((50, 70), 255, np.uint8)])
    pixels[:10, :20, 3] = 0
    photo, matrix = smooth_photo(120, 150), turned(15, 1.2, 40, 20)
    found = Filter({"a": sticker(pixels, warp)})(photo, [hung(pixels.shape, matrix)])
    quarter = np.array([[0, 1, 0], [-1, 0, 149], [0, 0, 1]])  # x, y -> y, width - 1 - x
    again = Filter({"a": sticker(pixels, warp)})(np.rot90(photo).copy(), [hung(pixels.shape, quarter @ matrix)])
    assert not np.array_equal(found, photo)
    assert np.abs(np.rot90(found).astype(int) - again).mean() < 0.5


@pytest.mark.parametrize("layer", ["sticker", "blur"])
def test_at_the_photos_edge_the_rest_is_cut_off(sticker, layer):
    """As if the photo were a part of a larger one. Blur averages only what it sees, so it gets one colour."""
    image, points = synthetic.face(0, 1, 0, 300)
    photo = image if layer == "sticker" else np.full((300, 300, 3), 90, np.uint8)
    made = sticker(opaque(80, 90), "affine") if layer == "sticker" else Blur("face", 0.3, 0)
    whole = Filter({"a": made})(photo, [face_of(points)])
    left, top = points.mean(axis=0).astype(int)
    cut = Filter({"a": made})(photo[top:, left:], [face_of(points - [left, top])])
    assert np.abs(whole[top:, left:].astype(int) - cut).max() <= 1
    if layer == "sticker":
        assert (cut != photo[top:, left:]).any()


def test_tiles_have_no_seams(sticker, monkeypatch):
    pixels, photo = opaque(90, 120), noise(200, 240)
    face = hung(pixels.shape, turned(30, 1.1, 80, 20))
    whole = Filter({"a": sticker(pixels)})(photo, [face])
    monkeypatch.setattr(compositing, "_TILE", 37)
    assert np.array_equal(Filter({"a": sticker(pixels)})(photo, [face]), whole)


def test_the_image_stays_and_the_largest_face_is_on_top(sticker):
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[2:-2, 2:-2] = (10, 200, 30, 255)
    photo = np.full((100, 100, 3), 255, np.uint8)
    near, far = (hung(pixels.shape, turned(0, scale, x, 10)) for scale, x in ((3, 10), (1, 40)))
    near = Face(IBUG68, np.array([0, 0, 60, 60], np.float32), None, near.keypoints)
    far = Face(IBUG68, np.array([40, 10, 60, 30], np.float32), None, far.keypoints)
    small = np.zeros((20, 20, 4), np.uint8)
    small[5:-5, 5:-5] = (200, 10, 10, 255)
    layers = {"above": sticker(small, order=2), "below": sticker(pixels, order=1)}
    for faces in ([near, far], [far, near]):
        found = Filter(layers)(photo, faces)
        assert tuple(found[40, 40]) == (200, 10, 10)  # the layer above
        assert tuple(found[20, 50]) == (10, 200, 30)  # the near face's, where the far one has its upper layer
    assert (photo == 255).all()


def degenerate() -> dict[str, np.ndarray]:
    points = synthetic.face(0, 1, 0, 100)[1]
    line = np.stack([np.linspace(0, 90, 68), np.linspace(5, 60, 68)], axis=1)
    missing = points.copy()
    missing[:] = np.nan
    infinite = points.copy()
    infinite[::2] = np.inf
    return {
        "line": line,
        "one place": np.full((68, 2), 33.3),
        "nan": missing,
        "infinite": infinite,
        "outside": points + 1e6,
    }


@pytest.mark.parametrize("kind", degenerate())
@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"blur"}))
def test_points_that_are_no_face_are_left_alone(name, kind):
    photo = noise(100, 100)
    found = load(name)(photo, [face_of(degenerate()[kind])])
    assert np.array_equal(found, photo)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("name", FILTERS)
def test_wild_points_do_no_harm(name):
    rng, photo, made = np.random.default_rng(0), noise(40, 50), load(name)
    for _ in range(60):
        points = rng.normal(0, 1, (68, 2)) * 10 ** rng.uniform(-6, 12) + rng.uniform(-50, 90, 2)
        assert made(photo, [face_of(points)]).shape == photo.shape


def test_a_horizon_across_the_image_falls_back_to_an_affine_map(sticker):
    pixels, photo = opaque(40, 60), noise(100, 100)
    dart = dict(zip(CORNERS, [(20, 20), (80, 20), (40, 30), (20, 80)], strict=True))  # no view of a rectangle
    found = [Filter({"a": sticker(pixels, warp)})(photo, [face_with(dart)]) for warp in ("homography", "affine")]
    assert np.array_equal(*found)
    assert (found[0] == photo).mean() > 0.5


def test_four_anchors_with_perspective_are_met(sticker):
    pixels = np.zeros((41, 61, 4), np.uint8)
    for y, x in ((0, 0), (0, 60), (40, 60), (40, 0)):
        cv2.circle(pixels, (x, y), 4, (255, 255, 255, 255), cv2.FILLED)
    ends = [(20, 20), (160, 40), (150, 130), (30, 110)]
    places = dict(zip(CORNERS, ends, strict=True))
    found = Filter({"a": sticker(pixels, "homography")})(np.zeros((200, 200, 3), np.uint8), [face_with(places)])
    for x, y in ends:
        assert found[y, x].min() > 200
    assert found[70:80, 80:100].max() == 0


def test_anchors_on_a_line_can_carry_a_similarity(tmp_path: Path):
    pixels, photo = opaque(30, 40)[::-1], noise(60, 80)
    images.write(tmp_path / "a.png", pixels)
    made = Filter({"a": Sticker(str(tmp_path / "a.png"), {0: [0, 9], 8: [20, 9], 16: [39, 9]}, "similarity", 0)})
    found = made(photo, [face_with({0: (10, 20), 8: (30, 20), 16: (49, 20)})])
    assert np.abs(found[11:40, 10:50].astype(int) - pixels[:-1, :, :3]).max() <= 1
    assert np.array_equal(made(photo, [face_with(dict.fromkeys((0, 8, 16), (33, 20)))]), photo)


# What the filters of conf/ do.


def load(*names: str) -> Filter:
    merged = OmegaConf.merge(*(OmegaConf.load(CONF / "filter" / f"{name}.yaml") for name in names))
    made: Filter = instantiate(merged, _convert_="all")
    made.check(IBUG68)
    return made


@pytest.mark.parametrize("tilt", [-30, 0, 30])
@pytest.mark.parametrize("who", [(3, 310, 5), (3, 1516, 1), (3, 2827, 2)])  # the second is turned by 30 degrees
def test_filters_sit_where_they_belong(who, tilt):
    size = 256
    image, points = synthetic.face(*who, size)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), -tilt, 1)
    image = cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REFLECT)
    points = points @ turn[:, :2].T + turn[:, 2]
    face = face_of(points)
    unit = float(IBUG68.interocular(face.keypoints))
    eyes = np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
    up = eyes.mean(axis=0) - points.mean(axis=0)
    up /= np.linalg.norm(up)

    def change(*names: str) -> np.ndarray:
        found = np.abs(load(*names)(image, [face]).astype(int) - image).max(axis=-1)
        return np.asarray(found, np.float64)

    def at(changed: np.ndarray, place: np.ndarray) -> float:
        x, y = np.rint(place).astype(int)
        return float(changed[y - 1 : y + 2, x - 1 : x + 2].mean())

    def middle(changed: np.ndarray) -> np.ndarray:
        y, x = np.nonzero(changed > 20)
        return np.array([x.mean(), y.mean()])

    glasses = change("sunglasses")
    assert min(at(glasses, eye) for eye in eyes) > 25
    assert max(at(glasses, points[i]) for i in (8, 33, 57)) == 0
    assert np.linalg.norm(middle(glasses) - eyes.mean(axis=0)) < 0.3 * unit
    moustache = change("moustache")
    assert np.linalg.norm(middle(moustache) - points[[33, 51]].mean(axis=0)) < 0.3 * unit
    assert max(at(moustache, points[i]) for i in (8, 28, 36, 45)) == 0
    hat = change("hat")
    y, x = np.nonzero(hat > 20)
    height = (np.stack([x, y], axis=1) - eyes.mean(axis=0)) @ up / unit
    assert 0 < height.min() < 0.6  # above the eyes, and not above the forehead
    dog = change("dog")
    assert min(at(dog, points[30]), at(dog, points[66])) > 10
    assert max(at(dog, eye) for eye in eyes) == 0


def test_two_filters_merge_into_one():
    image, points = synthetic.face(3, 310, 5, 200)
    both = load("sunglasses", "hat")(image, [face_of(points)])
    one_by_one = load("hat")(load("sunglasses")(image, [face_of(points)]), [face_of(points)])
    assert np.array_equal(both, one_by_one)


def test_names_indices_and_parts_are_keypoints(tmp_path: Path):
    pixels, photo = opaque(30, 40), noise(90, 90)
    images.write(tmp_path / "a.png", pixels)
    face = face_of(synthetic.face(0, 1, 0, 90)[1])
    right = IBUG68.parts["right_eye"]
    mean = face.keypoints[list(right)].mean(axis=0)
    moved = face.keypoints.copy()
    moved[0] = mean
    anchors = [
        ({"right_eye": (0, 0), "left_eye_0": (39, 0), "8": (20, 29)}, face),
        ({0: (0, 0), 42: (39, 0), "jaw_8": (20, 29)}, face_of(moved)),
    ]
    found = [
        Filter({"a": Sticker(str(tmp_path / "a.png"), places, "affine", 0)})(photo, [face]) for places, face in anchors
    ]
    assert np.abs(found[0].astype(int) - found[1]).max() <= 2


# Blur.


@pytest.mark.parametrize("size", [40, 200, 900])
@pytest.mark.parametrize("part", ["eyes", "face"])
def test_blur_leaves_nothing_inside_and_everything_outside(part, size):
    points = synthetic.face(3, 310, 5, size)[1]
    photo = noise(size, size)
    found = Filter({"a": Blur(part, 0.3, 0)})(photo, [face_of(points)])
    region = points if part == "face" else points[36:48]
    inside = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(inside, np.rint(cv2.convexHull(region)).astype(int), 1)
    detail = np.asarray(found, float) - cv2.blur(np.asarray(found, float), (5, 5))
    before = np.asarray(photo, float) - cv2.blur(np.asarray(photo, float), (5, 5))
    deep = cv2.erode(inside, np.ones((5, 5), np.uint8)).astype(bool) if size > 100 or part == "face" else inside > 0
    assert np.abs(detail[deep]).max() < 0.15 * np.abs(before[deep]).max()
    assert (detail[deep].std(axis=0) < 0.05 * before[deep].std(axis=0)).all()
    unit = float(IBUG68.interocular(points))
    reach = (0.6 if part == "eyes" else 0.4) * unit + 5
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) > reach
    if part == "face":
        away &= np.arange(size)[:, None] > points[36:48, 1].mean()  # above lies the forehead
    assert away.any()
    assert np.array_equal(found[away], photo[away])


def test_blur_hides_the_forehead_and_the_eyes_of_a_turned_head():
    image, points = synthetic.face(3, 1516, 1, 256)
    found = Filter({"a": Blur("face", 0.3, 0)})(image, [face_of(points)])
    up = points[36:48].mean(axis=0) - points.mean(axis=0)
    up /= np.linalg.norm(up)
    unit = float(IBUG68.interocular(points))
    forehead = points[17:27].mean(axis=0) + 0.35 * unit * up
    photo = noise(256, 256)
    blurred = Filter({"a": Blur("face", 0.3, 0)})(photo, [face_of(points)])
    for place in (forehead, *points[17:]):
        x, y = np.rint(place).astype(int)
        assert blurred[y - 2 : y + 3, x - 2 : x + 3].std(axis=(0, 1)).max() < 5
    assert found.shape == image.shape


def test_blur_hides_more_than_the_points_of_the_eyes():
    """Lashes and brows tell who it is, too."""
    points = synthetic.face(3, 310, 5, 256)[1]
    found = Filter({"a": Blur("eyes", 0.3, 0)})(noise(256, 256), [face_of(points)])
    unit = float(IBUG68.interocular(points))
    above = np.array([0, -0.17 * unit])
    for x, y in (*(points[36:48] + above), *(points[36:48] - above)):
        assert found[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].std(axis=(0, 1)).max() < 5


def test_blur_of_a_profile_is_as_strong():
    """Its eyes are close to each other, which must not make the squares small."""
    points = synthetic.face(3, 310, 5, 256)[1]
    side = points.copy()
    side[36:48, 0] = side[27, 0] + 0.1 * (side[36:48, 0] - side[27, 0])
    photo = smooth_photo(256, 256)
    front, profile = (Filter({"a": Blur("face", 0.3, 0)})(photo, [face_of(p)]).astype(float) for p in (points, side))
    x, y = points[30].astype(int)
    part = (slice(y - 30, y + 30), slice(x - 20, x + 20))
    assert profile[part].std(axis=(0, 1)).mean() < 1.5 * front[part].std(axis=(0, 1)).mean() + 0.5


def test_blur_up_to_the_photos_edge():
    """Where the face is cut off by the photo, the last pixel is as hidden as the others."""
    points = synthetic.face(3, 310, 5, 400)[1]
    left, top = points[30].astype(int)
    photo = noise(400, 400)[top:, left:]
    found = Filter({"a": Blur("face", 0.3, 0)})(photo, [face_of(points - [left, top])])
    assert found[:80, 0].std(axis=0).max() < 5
    assert found[0, :60].std(axis=0).max() < 5


def test_two_faces_of_one_colour_per_square_look_the_same():
    """Detail finer than the squares cannot be undone: it is gone before the Gaussian."""
    points = synthetic.face(3, 310, 5, 300)[1]
    photo = smooth_photo(300, 300)
    detail = np.zeros((300, 300, 1), int)
    detail[::2, ::2], detail[1::2, ::2] = 60, -60  # means of neighbouring rows cancel
    found = [
        Filter({"a": Blur("face", 0.3, 0)})(p, [face_of(points)])
        for p in (photo, np.uint8(np.clip(photo + detail, 0, 255)))
    ]
    inside = cv2.fillConvexPoly(np.zeros((300, 300), np.uint8), np.rint(cv2.convexHull(points)).astype(int), 1) > 0
    assert np.abs(found[0].astype(int) - found[1])[inside].max() <= 3


@pytest.mark.parametrize("part", ["eyes", "face"])
@pytest.mark.parametrize("kind", ["line", "one place", "nan", "infinite"])
def test_blur_hides_the_box_of_points_that_are_no_face(kind, part):
    """The box is the square around the points of a drawn face, whose forehead and cheeks must not be seen."""
    points = synthetic_face(3, 310, 5, 256)[1]
    photo = noise(256, 256)
    face = Face(IBUG68, square_around(points), None, degenerate()[kind].astype(np.float32))
    found = Filter({"a": Blur(part, 0.3, 0)})(photo, [face])
    up = points[36:48].mean(axis=0) - points.mean(axis=0)
    forehead = points[17:27].mean(axis=0) + 0.35 * float(IBUG68.interocular(points)) * up / np.linalg.norm(up)
    for place in (forehead, *points):
        x, y = np.rint(place).astype(int)
        assert found[y - 2 : y + 3, x - 2 : x + 3].std(axis=(0, 1)).max() < 5
    _, top, _, bottom = face.box
    away = np.ones((256, 256), bool)
    away[max(int(top - 0.6 * (bottom - top)), 0) : int(bottom + 0.4 * (bottom - top))] = False
    assert np.array_equal(found[away], photo[away])


def test_a_face_without_a_box_and_points_is_left_alone():
    nowhere = Face(IBUG68, np.full(4, np.nan, np.float32), None, np.full((68, 2), np.nan, np.float32))
    photo = noise(50, 60)
    assert np.array_equal(load("blur")(photo, [nowhere, face_of(np.full((68, 2), np.nan))]), photo)


def test_only_filters_that_hide_faces_say_so():
    assert [name for name in FILTERS if load(name).hides] == ["blur"]
    assert load("hat", "blur").hides


# What users get wrong.

ANCHORS = {0: [0, 0], 16: [39, 0], 8: [20, 29]}
LINE = {0: [0, 0], 16: [10, 10], 8: [20, 20], 27: [29, 29]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image": "missing.png"}, "missing.png"),
        ({"image": "without.png"}, "without.png: expected an image with transparent background"),
        ({"image": "nothing.png"}, "nothing.png: expected an image with transparent background, found every pixel"),
        ({"anchors": {0: [0, 0], 16: [39, 0]}}, "expected 3 or more anchors"),
        ({"anchors": ANCHORS, "warp": "homography"}, "expected 4 or more anchors"),
        ({"anchors": {**ANCHORS, 8: [20, 200]}}, r"anchor 8: .* 40 x 30 pixels.*\[20, 200\]"),
        ({"anchors": {**ANCHORS, 8: [20]}}, "anchor 8: expected two finite numbers"),
        ({"anchors": {**ANCHORS, 8: 20}}, "anchor 8: expected two finite numbers"),
        ({"anchors": {**ANCHORS, 8: [20, float("nan")]}}, "anchor 8: expected two finite numbers"),
        ({"anchors": {**ANCHORS, 8: [20, "ten"]}}, "anchor 8: expected two finite numbers"),
        ({"anchors": LINE}, "not all on one line"),
        ({"anchors": LINE, "warp": "homography"}, "not all on one line"),
        ({"anchors": {key: [5, 5] for key in LINE}, "warp": "similarity"}, "not all on one line"),
        ({"warp": "bend"}, "expected warp=similarity|affine|homography, found 'bend'"),
        ({"order": "first"}, "order: expected a finite number, found 'first'"),
        ({"order": float("nan")}, "order: expected a finite number"),
        ({"order": True}, "order: expected a finite number"),
    ],
)
def test_a_wrong_sticker_is_refused(tmp_path: Path, change, expected):
    images.write(tmp_path / "a.png", opaque(30, 40))
    images.write(tmp_path / "without.png", noise(30, 40))
    images.write(tmp_path / "nothing.png", np.zeros((30, 40, 4), np.uint8))
    arguments = {"image": "a.png", "anchors": ANCHORS, "warp": "affine", "order": 0, **change}
    with pytest.raises(UserError, match=expected.replace("|", r"\|")) as error:
        Sticker(**{**arguments, "image": str(tmp_path / arguments["image"])})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "hint"), [("left_eyes", "did you mean left_eye"), (68, "an index below 68"), ("-1", "parts are jaw")]
)
def test_an_anchor_that_the_schema_does_not_know_is_named(tmp_path: Path, key, hint):
    images.write(tmp_path / "a.png", opaque(30, 40))
    anchors = {0: [0, 0], 16: [39, 0], key: [20, 29]}
    made = Filter({"thing": Sticker(str(tmp_path / "a.png"), anchors, "affine", 0)})
    with pytest.raises(UserError, match=f"filter layer thing: .*a.png: anchor {key}: .*ibug68.*{hint}"):
        made.check(IBUG68)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nose", 0.3, 0), "part=eyes|face, found 'nose'"),
        (("eyes", 0, 0), "strength above 0"),
        (("eyes", "much", 0), "strength: expected a finite number"),
        (("eyes", 0.3, None), "order: expected a finite number"),
    ],
)
def test_a_wrong_blur_is_refused(arguments, expected):
    with pytest.raises(UserError, match=expected.replace("|", r"\|")):
        Blur(*arguments)


def test_a_filter_without_layers_is_refused():
    with pytest.raises(UserError, match="one or more layers"):
        Filter({})


@pytest.mark.parametrize("wrong", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3))])
def test_what_is_no_rgb_image_is_the_programs_mistake(wrong):
    with pytest.raises(ValueError, match="expected uint8") as error:
        load("blur")(wrong, [])
    assert not isinstance(error.value, UserError)


@pytest.mark.parametrize("name", FILTERS)
def test_no_faces_no_change(name):
    photo = noise(20, 30)
    found = load(name)(photo, [])
    assert np.array_equal(found, photo)
    assert found is not photo
