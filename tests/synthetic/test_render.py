import cv2
import numpy as np
import pytest

from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.synthetic.camera import Pose, place, rotation, visible_points
from fkd.synthetic.head_model import EXPRESSION, IDENTITY, head
from fkd.synthetic.subject import sample_shot, sample_subject
from fkd.types import Image, Points

NEUTRAL = np.zeros(len(EXPRESSION))
AVERAGE = np.zeros(len(IDENTITY))
AHEAD = Pose(0.0, 0.0, 0.0, 20.0)
CENTRE = np.array([0.5, 0.5])

Face = tuple[Image, Points]


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    return [face(3, i, 0, 192) for i in range(110)]


def value(image: Image, point: np.ndarray, reach: int = 1) -> float:
    """Mean level of the square about a point; NaN outside the image."""
    x, y = np.round(point).astype(int)
    patch = image[max(y - reach, 0) : max(y + reach + 1, 0), max(x - reach, 0) : max(x + reach + 1, 0)]
    return float(patch.mean()) if patch.size else float("nan")


def shape_points(seed: int, subject: int, frame: int, expression: np.ndarray | None = None) -> np.ndarray:
    """(68, 3) the head of a frame, in head coordinates."""
    person = sample_subject(np.random.default_rng((seed, subject)))
    shot = sample_shot(np.random.default_rng((seed, subject, frame)))
    return head(person.identity, shot.expression if expression is None else expression).points


def test_image_and_points_have_the_promised_types(faces: list[Face]) -> None:
    for image, points in faces:
        assert (image.shape, image.dtype) == ((192, 192, 3), np.uint8)
        assert (points.shape, points.dtype) == ((68, 2), np.float32)
        assert np.isfinite(points).all()
        assert image.std() > 5


def test_a_face_does_not_depend_on_what_was_drawn_before() -> None:
    keys = [(1, 2, 3, 96), (9, 9, 9, 64), (1, 2, 4, 96), (1, 2, 3, 192), (1, 3, 3, 96)]  # a person again, and others
    first = [face(*key) for key in keys]
    np.random.seed(5)  # noqa: NPY002  (global state must not matter)
    for order in ([4, 3, 2, 1, 0], [0, 2, 3, 0, 1, 4]):
        for i in order:
            again = face(*keys[i])
            assert np.array_equal(first[i][0], again[0])
            assert np.array_equal(first[i][1], again[1])


def test_large_poses_turn_the_head_to_its_profile() -> None:
    def narrow(large_poses: float) -> float:
        """Share of the faces whose outer eye corners are nearer to each other than nose and chin."""
        points = np.stack([face(4, subject, 0, 64, large_poses)[1] for subject in range(60)])
        eyes, chin = (np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in ((36, 45), (27, 8)))
        return float((eyes < 0.35 * chin).mean())

    assert narrow(0.0) == 0
    assert narrow(0.5) > 0.1
    assert narrow(1.0) > 0.2


@pytest.mark.parametrize("other", [(2, 2, 3), (1, 3, 3), (1, 2, 4)])
def test_every_number_of_the_key_matters(other: tuple[int, int, int]) -> None:
    image, points = face(1, 2, 3, 96)
    other_image, other_points = face(*other, 96)
    assert np.abs(points - other_points).mean() > 1
    assert (image != other_image).mean() > 0.5


def test_points_scale_with_the_image() -> None:
    for subject in range(10):
        small, middle, large = (face(4, subject, 1, size)[1] for size in (64, 192, 256))
        np.testing.assert_allclose((small + 0.5) * 3, middle + 0.5, atol=1e-3)
        np.testing.assert_allclose((small + 0.5) * 4, large + 0.5, atol=1e-3)


def test_images_of_two_sizes_show_the_same() -> None:
    """The larger image, made smaller, is the smaller one but for fine grain."""
    alike, unlike = [], []
    for subject in range(12):
        small = face(4, subject, 1, 96)[0]
        reduced = cv2.resize(face(4, subject, 1, 192)[0], (96, 96), interpolation=cv2.INTER_AREA)
        other = face(4, subject + 1, 1, 96)[0]
        alike.append(np.abs(small.astype(float) - reduced).mean())
        unlike.append(np.abs(small.astype(float) - other).mean())
    assert np.mean(alike) < 0.3 * np.mean(unlike)


def test_frames_of_one_subject_share_the_shape_of_the_head() -> None:
    """Noses and eye corners, which hardly move with the expression, tell people apart in 3D."""
    rigid = [0, 16, 27, 28, 29, 30, 33, 36, 39, 42, 45]
    people = np.array([[shape_points(0, subject, frame)[rigid] for frame in range(6)] for subject in range(30)])
    within = np.linalg.norm(people - people.mean(axis=1, keepdims=True), axis=-1).mean()
    between = np.linalg.norm(people.mean(axis=1) - people.mean(axis=(0, 1)), axis=-1).mean()
    assert between > 5 * within


def test_expression_undone_leaves_one_head_per_subject() -> None:
    heads = [[shape_points(0, subject, frame, NEUTRAL) for frame in range(3)] for subject in (0, 1)]
    assert np.array_equal(heads[0][0], heads[0][2])
    assert np.abs(heads[0][0] - heads[1][0]).mean() > 0.01


def test_points_are_the_projected_head() -> None:
    """Inner points against a pinhole camera written out by hand: turn, move away, divide by depth."""
    for subject in range(20):
        person = sample_subject(np.random.default_rng((6, subject)))
        shot = sample_shot(np.random.default_rng((6, subject, 2)))
        body = head(person.identity, shot.expression)
        yaw, pitch, roll, distance = shot.pose
        flat = []
        for x, y, z in body.points[17:]:
            x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
            y, z = y * np.cos(pitch) - z * np.sin(pitch), z * np.cos(pitch) + y * np.sin(pitch)
            x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
            flat.append((x / (distance - z), y / (distance - z)))
        drawn = face(6, subject, 2, 128)[1].astype(float)
        # Focal length and principal point are the only freedom: one scale and one shift must explain every point.
        pinhole = np.array(flat)
        pinhole -= pinhole.mean(axis=0)
        inner = drawn[17:] - drawn[17:].mean(axis=0)
        scale = (pinhole * inner).sum() / (pinhole**2).sum()
        assert scale > 0
        np.testing.assert_allclose(scale * pinhole, inner, atol=0.01)


def test_jaw_points_lie_on_the_head_and_no_further_in_than_the_jaw() -> None:
    """A far jaw point goes to the outline, which is further out than the hidden point; the near side stays."""
    body = head(AVERAGE, NEUTRAL)
    camera = place(body, AHEAD._replace(yaw=0.6), 0.6, CENTRE)
    marched, fixed = visible_points(body, camera, 0.0), camera.project(body.points)
    unit = camera.scale
    assert (marched[10:15, 0] - fixed[10:15, 0] > 0.02 * unit).all()
    np.testing.assert_allclose(marched[:7], fixed[:7], atol=0.02 * unit)
    np.testing.assert_array_equal(marched[17:], fixed[17:])
    outline = camera.flatten(camera.turn(body.grid))[0].max()
    assert (marched[9:17, 0] <= outline + 0.02 * unit).all()


def test_square_around_points_is_where_it_was_asked_for() -> None:
    body = head(AVERAGE, NEUTRAL)
    pose = Pose(0.5, -0.2, 0.3, 15.0)
    points = visible_points(body, place(body, pose, 0.55, np.array([0.4, 0.6])), pose.roll)
    low, high = points.min(axis=0), points.max(axis=0)
    assert (high - low).max() == pytest.approx(0.55)
    np.testing.assert_allclose((low + high) / 2, [0.4, 0.6], atol=1e-9)


@pytest.mark.parametrize(("turn", "axis", "sign"), [("yaw", 0, 1), ("pitch", 1, -1)])
def test_nose_goes_where_the_head_turns(turn: str, axis: int, sign: int) -> None:
    """Nose against the middle of the eyes: yaw + to the image's right, pitch + up."""
    body = head(AVERAGE, NEUTRAL)
    offsets = []
    for angle in (-0.4, 0.0, 0.4):
        pose = AHEAD._replace(**{turn: angle})
        points = visible_points(body, place(body, pose, 0.6, CENTRE), 0.0)
        offsets.append(points[30, axis] - points[36:48, axis].mean())
    assert sign * (offsets[1] - offsets[0]) > 0.02
    assert sign * (offsets[2] - offsets[1]) > 0.02


def test_roll_turns_the_eye_line_clockwise() -> None:
    body = head(AVERAGE, NEUTRAL)
    points = visible_points(body, place(body, AHEAD._replace(roll=0.3), 0.6, CENTRE), 0.3)
    across, down = points[45] - points[36]
    assert np.arctan2(down, across) == pytest.approx(0.3, abs=1e-6)


def test_rotation_keeps_lengths_and_handedness() -> None:
    matrix = rotation(Pose(0.7, -0.3, 0.4, 10.0))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_mean_head_is_its_own_mirror_image() -> None:
    points = head(AVERAGE, NEUTRAL).points
    np.testing.assert_allclose(points[list(IBUG68.flip)] * [-1, 1, 1], points, atol=1e-9)


def test_mean_head_mirrored_is_the_head_turned_the_other_way() -> None:
    body = head(AVERAGE, NEUTRAL)
    left, right = (visible_points(body, place(body, AHEAD._replace(yaw=yaw), 0.6, CENTRE), 0.0) for yaw in (-0.5, 0.5))
    np.testing.assert_allclose(left[list(IBUG68.flip)] * [-1, 1] + [1, 0], right, atol=1e-9)


@pytest.mark.parametrize("name", IDENTITY)
def test_every_way_to_differ_moves_points_and_surface_alike(name: str) -> None:
    coefficients = np.array([float(other == name) for other in IDENTITY])
    changed, mean = head(coefficients, NEUTRAL), head(AVERAGE, NEUTRAL)
    assert np.abs(changed.points - mean.points).max() > 0.01
    assert np.abs(changed.grid - mean.grid).max() > 0.01
    opposite = head(-coefficients, NEUTRAL)
    np.testing.assert_allclose(changed.points + opposite.points, 2 * mean.points, atol=1e-9)


def opening(points: np.ndarray, upper: list[int], lower: list[int]) -> float:
    return float((points[lower, 1] - points[upper, 1]).mean())


def test_expressions_do_what_they_are_called() -> None:
    def moved(**amounts: float) -> np.ndarray:
        return head(AVERAGE, np.array([amounts.get(name, 0.0) for name in EXPRESSION])).points

    still = moved()
    lips = [61, 62, 63], [67, 66, 65]
    assert opening(moved(open=1), *lips) > opening(still, *lips) + 0.3
    assert moved(open=1)[8, 1] > still[8, 1] + 0.3
    smile = moved(smile=1)
    assert smile[54, 0] - smile[48, 0] > still[54, 0] - still[48, 0]
    assert smile[48, 1] < still[48, 1]
    assert (moved(brows_up=1)[17:27, 1] < still[17:27, 1] - 0.04).all()
    for lids in ([37, 38], [41, 40]), ([43, 44], [47, 46]):
        assert opening(still, *lids) > 0.12
        assert -0.02 < opening(moved(lids=1), *lids) < 0.3 * opening(still, *lids)


def test_nearly_all_points_lie_in_the_image(faces: list[Face]) -> None:
    points = np.stack([points for _, points in faces])
    assert ((points > -0.5) & (points < 191.5)).mean() > 0.995


def test_faces_fill_varied_parts_of_the_image(faces: list[Face]) -> None:
    sides = np.array([np.ptp(points, axis=0).max() / 192 for _, points in faces])
    assert sides.min() > 0.39
    assert sides.max() < 0.76
    assert np.ptp(sides) > 0.3


def test_right_eye_stands_left_and_brows_above(faces: list[Face]) -> None:
    for _, points in faces:
        across = points[45] - points[36]
        down = np.array([-across[1], across[0]])
        assert across[0] > 0
        assert ((points[[8, 33, 57]] - points[[36, 36, 36]]) @ down > 0).all()
        assert ((points[[19, 24]] - points[[37, 44]]) @ down < 0).all()


@pytest.mark.parametrize("eye", [range(36, 42), range(42, 48)])
def test_eyes_are_drawn_where_the_points_say(faces: list[Face], eye: range) -> None:
    """The middle of an eye is darker than the cheek below it and the brow bone, on nearly every face."""
    darker = []
    for image, points in faces:
        middle = points[eye].mean(axis=0)
        down = points[33] - points[27]
        cheek = value(image, middle + 0.75 * down, 2)
        darker.append(value(image, middle, 2) < cheek)
    assert np.mean(darker) > 0.85


def sharp_face(size: int) -> tuple[Image, Points]:
    """A clear image for looking at single parts: the largest of many frontal ones without glasses."""
    best: tuple[float, int] = (0.0, 0)
    for subject in range(300):
        person = sample_subject(np.random.default_rng((8, subject)))
        shot = sample_shot(np.random.default_rng((8, subject, 0)))
        clear = person.glasses == 0 and abs(shot.pose.yaw) < 0.2 and abs(shot.gaze[0]) < 0.1
        lids = opening(head(person.identity, shot.expression).points, [37, 38, 43, 44], [41, 40, 47, 46])
        best = max(best, (clear * lids * shot.side * shot.ambient * person.skin[0], subject))
    return face(8, best[1], 0, size)


def test_white_of_the_eye_is_brighter_than_its_iris() -> None:
    image, points = sharp_face(512)
    for inner, outer, eye in ((39, 36, points[36:42]), (42, 45, points[42:48])):
        middle = eye.mean(axis=0)
        whites = [value(image, 0.45 * middle + 0.55 * points[corner], 2) for corner in (inner, outer)]
        assert max(whites) > 1.3 * value(image, middle, 3)


def test_an_open_mouth_is_not_skin(faces: list[Face]) -> None:
    """Inside a wide open mouth there are teeth or the dark: pixels vary more than on the cheek."""
    spread = []
    for image, points in faces:
        gap = np.linalg.norm(points[62] - points[66])
        if gap < 6:
            continue
        between = [value(image, points[62] + share * (points[66] - points[62])) for share in np.linspace(-0.2, 1.2, 9)]
        cheek = 0.5 * (points[48] + points[4])
        across = [value(image, cheek + share * (points[66] - points[62])) for share in np.linspace(-0.2, 1.2, 9)]
        spread.append(np.nanstd(between) > np.nanstd(across))
    assert len(spread) > 15
    assert np.mean(spread) > 0.8


def test_points_follow_the_image_not_chance() -> None:
    """Images change more along the outline of the jaw than inside the cheeks."""
    stronger = []
    for i in range(40):
        image, points = face(12, i, 0, 192)
        nose = points[30]
        grey = cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 1.0)
        gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))

        def around(share: float, points: Points = points, nose: np.ndarray = nose, field: Image = gradient) -> float:
            at = nose + share * (points[[5, 6, 7, 9, 10, 11]] - nose)
            x, y = np.clip(np.round(at).astype(int), 0, 191).T
            return float(field[y, x].mean())

        stronger.append(max(around(0.97), around(1.0), around(1.03)) > around(0.72))
    assert np.mean(stronger) > 0.8
