import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import fkd
from fkd.detector_training.photos import BOXES, boxed_photos
from fkd.detector_training.split import is_held_out
from fkd.errors import UserError
from fkd.geometry import Correction, eye_rolls, square_around
from fkd.io import images
from fkd.schema import IBUG68
from fkd.synthetic import face

AS_IS = Correction(1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos with a synthetic face each, and their boxes with scores; the last is too unclear to be learned."""
    folder, boxes = tmp_path_factory.mktemp("photos"), {}
    for subject, score in enumerate((0.9, 0.7, 0.3)):
        image, points = face(3, subject, 0, 160)
        name = f"part_{subject % 2}/{subject}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        images.write(folder / name, image)
        boxes[name] = [[*square_around(points).tolist(), score]]
    (folder / BOXES).write_text(json.dumps(boxes))
    return folder


def test_the_points_that_a_net_finds_give_the_squares(root: Path) -> None:
    photos = boxed_photos(str(root), AS_IS, fkd.load("synthetic").net, 16)
    assert [photo.name for photo in photos] == ["part_0/0.png", "part_1/1.png", "part_0/2.png"]
    for subject, photo in enumerate(photos):
        _, points = face(3, subject, 0, 160)
        roll = eye_rolls(points, IBUG68)
        left, top, right, bottom = square_around(points, roll)
        centre, side = np.array([left + right, top + bottom]) / 2, right - left
        assert photo.image.shape == (160, 160)
        assert np.linalg.norm(photo.labels.centres[0] - centre) < 0.08 * side
        assert photo.labels.sides[0] == pytest.approx(side, rel=0.15)
        assert photo.labels.rolls[0] == pytest.approx(roll, abs=8)
    assert [photo.labels.scores[0] for photo in photos] == pytest.approx([0.9, 0.7, 0.3])


def test_small_boxes_are_taken_as_they_are(root: Path) -> None:
    _, photo, _ = boxed_photos(str(root), Correction(0.5, 0.0, 0.1), fkd.load("synthetic").net, 1000)
    left, top, right, bottom, _ = json.loads((root / BOXES).read_text())["part_1/1.png"][0]
    wide = right - left
    np.testing.assert_allclose(photo.labels.centres, [[(left + right) / 2, (top + bottom) / 2 + 0.1 * wide]], rtol=1e-4)
    np.testing.assert_allclose(photo.labels.sides, [wide / 2], rtol=1e-4)
    assert photo.labels.rolls == 0


def test_missing_files_are_named(tmp_path: Path) -> None:
    net = fkd.load("synthetic").net
    with pytest.raises(UserError, match=BOXES):
        boxed_photos(str(tmp_path), AS_IS, net, 16)
    (tmp_path / BOXES).write_text('{"lost.jpg": []}')
    with pytest.raises(UserError, match=r"lost\.jpg"):
        boxed_photos(str(tmp_path), AS_IS, net, 16)


def test_large_photos_are_shrunk_with_their_labels(tmp_path: Path) -> None:
    image, points = face(3, 0, 0, 160)
    images.write(tmp_path / "a.png", np.asarray(cv2.resize(image, (1600, 1600)), np.uint8))
    (tmp_path / BOXES).write_text(json.dumps({"a.png": [[*((square_around(points) + 0.5) * 10 - 0.5).tolist(), 1]]}))
    (photo,) = boxed_photos(str(tmp_path), AS_IS, fkd.load("synthetic").net, 1e6)
    assert photo.image.shape == (1024, 1024)
    expected = (square_around(points) + 0.5) * 6.4 - 0.5
    np.testing.assert_allclose(photo.labels.squares[0], expected, atol=0.01)


def test_one_photo_in_five_is_held_out_with_its_copies() -> None:
    names = [f"helen/trainset/{i}_1.jpg" for i in range(2000)]
    held_out = [is_held_out(name) for name in names]
    assert 0.15 < np.mean(held_out) < 0.25
    assert held_out == [is_held_out(name.replace("_1.", "_2.")) for name in names]
    assert len({is_held_out(f"IMG_{i}.jpg") for i in range(10)}) == 2
    assert len({is_held_out(f"lfpw/trainset/image_{i:04}.png") for i in range(50)}) == 2  # no copies of one photo
