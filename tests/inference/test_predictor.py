"""From an image to faces, with nets and detectors whose answers are known."""

import base64
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fkd.detect.base import Candidates
from fkd.errors import UserError
from fkd.geometry import Jitter, Window
from fkd.inference.found_faces import FoundFaces
from fkd.inference.metadata import Metadata
from fkd.inference.predictor import Predictor
from fkd.io import images
from fkd.schema import IBUG68
from fkd.shape_model import ShapeModel
from fkd.synthetic import face
from fkd.types import Face

SIZE = 32
SHAPES = ShapeModel.fit(np.stack([face(0, subject, 0, 32)[1] for subject in range(100)]))
LOOKS_LIKE_A_FACE = face(5, 0, 0, SIZE)[1]


class Brightest:
    """Puts all points on the brightest pixel of the crop, as one that can be found again in the photo."""

    metadata = Metadata("brightest", IBUG68, SIZE, 1, Window(2.0, 0.25), None, {})
    calls = 0

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.calls += 1
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (self.metadata.channels, SIZE, SIZE)
        place = crops.max(axis=1).reshape(len(crops), -1).argmax(axis=1)
        points = np.stack([place % SIZE, place // SIZE], axis=1).astype(np.float32)
        return np.repeat(points[:, None], 68, axis=1)


class Squares:
    """Gives the squares it was told, whatever the image."""

    jitter, limit = Jitter(0.1, 0.1, 0.04), None

    def __init__(self, *squares: tuple[float, float, float, float], scores: tuple[float, ...] | None = None) -> None:
        self.squares = np.array(squares, np.float32).reshape(-1, 4)
        self.scores = np.array(scores if scores is not None else range(len(squares), 0, -1), np.float32)

    def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        return self.squares, self.scores


def spot(x: int, y: int, shape: tuple[int, ...] = (120, 160)) -> np.ndarray:
    """A dark image with one bright spot of 5 x 5 pixels about (x, y)."""
    image = np.full(shape, 20, np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


def predictor(net: Brightest, detector: Squares, flip: bool = False) -> Predictor:
    return Predictor(net, detector, flip, 1_000_000)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(120, 160), (120, 160, 3)])
def test_points_are_in_photo_pixels(shape: tuple[int, ...], flip: bool) -> None:
    faces = predictor(Brightest(), Squares((60, 40, 100, 80)), flip)(spot(77, 63, shape))
    assert len(faces) == 1
    np.testing.assert_allclose(faces[0].keypoints, np.tile([77, 63], (68, 1)), atol=2.6)  # a crop pixel is 2.5 wide
    np.testing.assert_array_equal(faces[0].box, [60, 40, 100, 80])
    assert faces[0].part("left_eye").shape == (6, 2)


def test_a_part_that_does_not_exist_names_those_that_do() -> None:
    (found,) = predictor(Brightest(), Squares((60, 40, 100, 80)))(spot(77, 63))
    with pytest.raises(KeyError, match=r"ear: schema ibug68 has the parts jaw, .*left_eye"):
        found.part("ear")


def test_all_faces_of_a_image_go_through_the_net_at_once() -> None:
    net = Brightest()
    faces = predictor(net, Squares((0, 0, 40, 40), (50, 50, 90, 90), (60, 60, 110, 110)))(spot(77, 63))
    assert net.calls == 1
    assert [found.score for found in faces] == [3, 2, 1]


def test_a_colour_net_sees_colours_and_a_grey_one_grey() -> None:
    class Colour(Brightest):
        metadata = replace(Brightest.metadata, channels=3)

    for net, shape in itertools.product((Colour(), Brightest()), ((120, 160), (120, 160, 3))):
        assert len(predictor(net, Squares((60, 40, 100, 80)))(spot(77, 63, shape))) == 1


def test_the_mirror_image_is_seen_swapped_and_put_back() -> None:
    """A net that always gives the same face gives, with its mirror image, the symmetrical mean of both."""

    class Stubborn(Brightest):
        metadata = replace(Brightest.metadata, window=Window(1.0, 0.0))

        def __call__(self, crops: np.ndarray) -> np.ndarray:
            return np.repeat(LOOKS_LIKE_A_FACE[None], len(crops), axis=0)

    box = (-0.5, -0.5, SIZE - 0.5, SIZE - 0.5)  # photo pixels are crop pixels
    (found,) = predictor(Stubborn(), Squares(box), flip=True)(spot(20, 20))
    mirrored = np.array([[SIZE - 1 - LOOKS_LIKE_A_FACE[j, 0], LOOKS_LIKE_A_FACE[j, 1]] for j in IBUG68.flip])
    np.testing.assert_allclose(found.keypoints, (LOOKS_LIKE_A_FACE + mirrored) / 2, atol=1e-4)


def test_no_face_is_an_empty_list_and_no_call_of_the_net() -> None:
    net = Brightest()
    assert predictor(net, Squares())(spot(77, 63)) == []
    assert net.calls == 0


def test_a_detector_without_scores_gives_none() -> None:
    (found,) = predictor(Brightest(), Squares((60, 40, 100, 80), scores=(np.nan,)))(spot(77, 63))
    assert found.score is None


def test_points_that_look_like_no_face_are_dropped_where_the_detector_has_a_limit() -> None:
    class Sometimes(Brightest):
        metadata = replace(Brightest.metadata, shapes=SHAPES)

        def __call__(self, crops: np.ndarray) -> np.ndarray:
            points = super().__call__(crops)
            points[0] = LOOKS_LIKE_A_FACE
            return points

    detector = Squares((0, 0, 40, 40), (50, 50, 90, 90))
    assert len(predictor(Sometimes(), detector)(spot(77, 63))) == 2
    detector.limit = 2.0
    (found,) = predictor(Sometimes(), detector)(spot(77, 63))
    np.testing.assert_array_equal(found.box, [0, 0, 40, 40])


def test_for_hiding_what_looks_like_no_face_and_doubtful_boxes_come_without_points() -> None:
    class Sometimes(Brightest):
        metadata = replace(Brightest.metadata, shapes=SHAPES)

        def __call__(self, crops: np.ndarray) -> np.ndarray:
            assert len(crops) == 2  # the net is not asked about the doubtful one
            points = super().__call__(crops)
            points[1] = LOOKS_LIKE_A_FACE
            return points

    class Hiding(Squares):
        limit = 2.0

        def for_hiding(self, image: np.ndarray, path: str | None = None) -> Candidates:
            return Candidates(*self(image, path), np.array([[5, 5, 25, 25]], np.float32))

    detector = Hiding((0, 0, 40, 40), (50, 50, 90, 90))
    faces = Predictor(Sometimes(), detector, False, 1_000_000, hiding=True)(spot(77, 63))
    assert [tuple(found.box) for found in faces] == [(50, 50, 90, 90), (0, 0, 40, 40), (5, 5, 25, 25)]
    assert [found.is_known for found in faces] == [True, False, False]
    assert [tuple(found.box) for found in predictor(Sometimes(), detector)(spot(77, 63))] == [(50, 50, 90, 90)]


def test_several_images_give_a_list_each() -> None:
    one = predictor(Brightest(), Squares((60, 40, 100, 80)))
    photos = [spot(x, y, (120, 160, 3)) for x, y in ((70, 55), (90, 60), (65, 75))]
    for several in (one(photos), one(np.stack(photos))):
        for faces, image in zip(several, photos, strict=True):
            np.testing.assert_array_equal(faces[0].keypoints, one(image)[0].keypoints)


def test_a_stream_gives_the_same_as_image_by_image_and_goes_on_after_a_broken_file(tmp_path: Path) -> None:
    paths = []
    for i in range(30):
        paths.append(tmp_path / f"{i}.png")
        images.write(paths[-1], spot(60 + i, 50, (120, 160, 3)))
    paths[7].write_bytes(b"no image")
    one = predictor(Brightest(), Squares((60, 40, 100, 80)))
    for i, found in enumerate(one.stream(paths)):
        if i == 7:
            assert (found.image, found.faces) == (None, [])
            assert "7.png" in str(found.error)
            continue
        assert found.error is None
        np.testing.assert_array_equal(found.image, images.read(paths[i], 3))
        np.testing.assert_array_equal(found.faces[0].keypoints, one(paths[i])[0].keypoints)
    assert i == 29


def test_a_stream_reads_only_a_few_ahead() -> None:
    """Memory does not grow with the number of images."""
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield spot(77, 63)

    stream = predictor(Brightest(), Squares((60, 40, 100, 80), (0, 0, 40, 40))).stream(endless())
    for _ in range(100):
        next(stream)
    stream.close()
    assert taken <= 100 + 16 + 2 * 8  # one group of crops, and two for each of at most eight threads


def test_a_batch_with_a_broken_file_says_which(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").touch()
    one = predictor(Brightest(), Squares((60, 40, 100, 80)))
    with pytest.raises(UserError, match=r"broken\.jpg"):
        one([spot(77, 63), tmp_path / "broken.jpg"])


@pytest.mark.parametrize("module", ["fkd.detect.haar", "facelab", "fkdlab"])
def test_a_file_on_which_the_search_for_faces_fails_is_one_that_fails_alone(tmp_path: Path, module: str) -> None:
    """A detector of one's own has a mistake, which its traceback shows."""

    class Failing(Squares):
        __module__ = module

        def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
            if path is None or "odd" in path:
                raise ZeroDivisionError("no\nwidth")
            return super().__call__(image, path)

    paths = [tmp_path / name for name in ("a.png", "odd.png", "z.png")]
    for path in paths:
        images.write(path, spot(60, 50))
    one = predictor(Brightest(), Failing((60, 40, 100, 80)))
    if module != "fkd.detect.haar":
        with pytest.raises(ZeroDivisionError):
            [*one.stream(paths)]
        (tmp_path / "a.png").write_bytes(b"no image")
        found = next(one.stream(paths[:1]))
        assert isinstance(found.error, UserError)
        return
    assert [len(found.faces) for found in one.stream(paths)] == [1, 0, 1]
    line = str([*one.stream(paths)][1].error)
    assert line.startswith(f"{paths[1]}: its faces cannot be found (ZeroDivisionError: no width)")
    with pytest.raises(ZeroDivisionError):  # without a file to name
        [*one.stream([spot(60, 50)])]


def test_a_mistake_of_the_program_is_no_broken_file() -> None:
    one = predictor(Brightest(), Squares((60, 40, 100, 80)))
    with pytest.raises(ValueError, match="expected several, found one path"):
        one.stream("photo.jpg")
    for wrong in (np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), None, 3):
        with pytest.raises(ValueError, match="photo: expected"):
            one(wrong)
        with pytest.raises(ValueError, match="photo: expected"):
            list(one.stream([wrong]))


def test_a_notebook_shows_the_faces_of_an_image_with_a_table() -> None:
    photo = np.full((300, 1000, 3), 90, np.uint8)
    keypoints = np.stack([np.linspace(300, 400, 68), np.linspace(100, 200, 68)], axis=1).astype(np.float32)
    known = Face(IBUG68, np.array([280, 80, 420, 220], np.float32), 0.875, keypoints)
    doubtful = Face(IBUG68, np.array([5, 6, 50, 51], np.float32), None, np.full((68, 2), np.nan, np.float32))
    html = FoundFaces([known, doubtful], photo)._repr_html_()
    assert "<td>0</td><td>0.88</td><td>280</td><td>80</td><td>420</td><td>220</td>" in html
    assert "<td>1</td><td></td><td>5</td>" in html
    (data,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (216, 720, 3)
    blue, green, red = shown[int(150 * 0.72), int(350 * 0.72)].astype(int)
    assert min(blue, red) > green + 60  # magenta, in the middle of the line of points


def test_the_faces_of_a_file_keep_its_path_and_not_its_pixels(tmp_path: Path) -> None:
    images.write(tmp_path / "photo.png", np.full((40, 30, 3), 90, np.uint8))
    found = FoundFaces([], tmp_path / "photo.png")
    assert found.photo == tmp_path / "photo.png"
    assert "<img" in found._repr_html_()


def test_without_faces_the_image_is_shown_alone() -> None:
    assert "<img" in FoundFaces([], np.full((40, 30), 90, np.uint8))._repr_html_()


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("degrees", [0, 35, -120])
def test_aligned_faces_have_their_eyes_at_fixed_places(channels: tuple[int, ...], degrees: float) -> None:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    keypoints = ((LOOKS_LIKE_A_FACE - SIZE / 2) * 3 @ turn.T + 150).astype(np.float32)
    photo = np.zeros((300, 300, *channels), np.uint8)
    right, left = (keypoints[list(eye)].mean(axis=0) for eye in IBUG68.eyes)
    for centre, grey in ((right, 250), (left, 120)):
        cv2.circle(photo, centre.round().astype(int).tolist(), 4, [grey] * 3, -1)
    unknown = Face(IBUG68, np.float32([0, 0, 9, 9]), None, np.full((68, 2), np.nan, np.float32))
    faces = FoundFaces([Face(IBUG68, np.float32([0, 0, 9, 9]), 1.0, keypoints), unknown], photo)
    upright, black = faces.aligned(200)
    assert upright.shape == (200, 200, *channels)
    assert not black.any()
    assert upright[80, 70].min() > 240
    assert 100 < upright[80, 130].min() <= 125
    grey = upright if not channels else upright[..., 0]
    assert np.argwhere(grey > 240).mean(axis=0) == pytest.approx([79.5, 69.5], abs=3)  # one pixel of the photo is 3
