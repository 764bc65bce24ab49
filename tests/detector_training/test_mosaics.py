import math

import cv2
import numpy as np
import pytest
import torch

from fkd.detector_training.mosaics import Mosaics
from fkd.detector_training.photos import Labels, Photo
from fkd.detector_training.textures import texture
from fkd.errors import UserError
from fkd.types import Image


def photo(roll: float, side: float = 60.0) -> Photo:
    """A white square with a dark upper half as a face, turned clockwise, on grey."""
    image, centre = np.full((200, 240), 110, np.uint8), (130.0, 90.0)
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    ahead, down = np.array([cos, sin]), np.array([-sin, cos])
    for level, top in ((250, -0.5), (0, -0.5)):
        bottom = 0.5 if level == 250 else 0.0
        corners = [
            np.array(centre) + side * (x * ahead + y * down)
            for x, y in ((-0.5, top), (0.5, top), (0.5, bottom), (-0.5, bottom))
        ]
        cv2.fillConvexPoly(image, np.round(corners).astype(np.int32), level)
    labels = Labels(np.array([centre], np.float32), *np.array([[side], [roll], [1]], np.float32))
    return Photo("a.jpg", image, labels)


def mosaics(*photos: Photo, textures: float = 0.0) -> Mosaics:
    return Mosaics([photos], [1], size=320, faces=(30, 200), textures=textures, hard=0.0, length=10)


def at(image: Image, x: float, y: float) -> int | None:
    column, row = round(x), round(y)
    return int(image[row, column]) if 0 <= row < len(image) and 0 <= column < image.shape[1] else None


@pytest.mark.parametrize("roll", [0.0, 40.0, -140.0])
def test_labels_lie_on_the_faces_and_are_turned_with_them(roll: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fkd.detector_training.mosaics._PARTS", (1, 0, 0))  # several parts would cut each other
    made, checked = mosaics(photo(roll)), 0
    for seed in range(60):
        image, labels = made.image(np.random.default_rng(seed))
        blurred = cv2.GaussianBlur(image, (5, 5), 0)
        for x, y, side, turned, score in labels.rows():
            if score < 0.5 or side < 40:
                continue
            angle = math.radians(turned)
            right, down = -math.sin(angle) * side / 4, math.cos(angle) * side / 4
            dark, bright = at(blurred, x - right, y - down), at(blurred, x + right, y + down)
            if dark is not None and bright is not None:
                assert bright > dark + 20, (seed, labels)
                checked += 1
    assert checked > 10


def test_a_face_that_is_mostly_cut_away_is_unclear() -> None:
    seen = {True: 0, False: 0}
    made = Mosaics([[photo(0.0)]], [1], size=320, faces=(250, 300), textures=0.0, hard=0.0, length=10)
    for seed in range(900):
        _, labels = made._part((320, 320), np.random.default_rng(seed))
        for x, y, side, _, score in labels.rows():
            wide = max(min(x + side / 2, 320) - max(x - side / 2, 0), 0)
            high = max(min(y + side / 2, 320) - max(y - side / 2, 0), 0)
            share = wide * high / side**2
            if abs(share - 0.4) > 0.01:
                assert (score == 1) == (share > 0.4), (seed, share)
                seen[share > 0.4] += 1
    assert min(seen.values()) > 10


@pytest.mark.parametrize("faces", [(60, 260), (250, 260)])
def test_faces_may_be_larger_than_a_part(faces: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fkd.detector_training.mosaics._PARTS", (0, 0, 1))
    made = Mosaics([[photo(0.0)]], [1], size=320, faces=faces, textures=0.0, hard=0.0, length=10)
    for seed in range(40):
        made.image(np.random.default_rng(seed))


def test_examples_depend_on_torch_seed_alone() -> None:
    made = mosaics(photo(0.0), textures=0.3)
    torch.manual_seed(3)
    first = made[0]
    torch.manual_seed(3)
    again = made[5]
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.maps, again.maps)
    assert first.image.shape == (1, 320, 320)
    assert first.maps.shape == (8, 40, 40)


def test_hard_parts_show_a_mistake_of_any_photo() -> None:
    plain, bright = photo(0.0), np.zeros((200, 240), np.uint8)
    bright[20:60, 160:200] = 255
    wrong = Photo("b.jpg", bright, Labels.none(), mistakes=np.array([[159.5, 19.5, 199.5, 59.5]], np.float32))
    parts = {
        hard: [
            Mosaics([[plain], [wrong]], [0.9, 0.1], 320, (60, 200), 0.0, hard, 10)._part((320, 320), rng)
            for rng in map(np.random.default_rng, range(60))
        ]
        for hard in (0.0, 1.0)
    }
    seen = {
        hard: sum((part == 255).sum() > 50 and not len(labels.sides) for part, labels in each)
        for hard, each in parts.items()
    }
    assert seen[1.0] == 60
    assert seen[0.0] < 20


def test_textures_have_no_labels_and_differ() -> None:
    _, labels = mosaics(photo(0.0), textures=1.0).image(np.random.default_rng(0))
    assert len(labels.sides) == 0
    drawn = [texture((90, 70), np.random.default_rng(seed)) for seed in range(20)]
    assert all(one.shape == (70, 90) and one.dtype == np.uint8 for one in drawn)
    assert len({one.tobytes() for one in drawn}) == 20


@pytest.mark.parametrize(
    "wrong",
    [{"size": 100}, {"size": 0}, {"faces": (50, 20)}, {"faces": 9.0}, {"textures": 2}, {"textures": "x"}, {"hard": -1},
     {"length": 0}, {"shares": 1.0}, {"shares": [1, 2]}, {"shares": [0.0]}],
)  # fmt: skip
def test_values_out_of_range(wrong: dict[str, object]) -> None:
    values = {"shares": [1.0], "size": 320, "faces": (9, 200), "textures": 0.1, "hard": 0.1, "length": 10} | wrong
    with pytest.raises(UserError, match=f"^mosaics.{next(iter(wrong))}"):
        Mosaics([[photo(0)]], **values)  # type: ignore[arg-type]
