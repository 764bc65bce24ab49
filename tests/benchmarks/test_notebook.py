from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from benchmarks.notebook import NotebookDataset, from_frame, notebook_dataset
from fkd.config.faces import build_faces
from fkd.data.crop_plans import FaceCrop, FrameCrop
from fkd.data.face_data import Faces
from fkd.errors import UserError
from fkd.geometry import Jitter, crop_matrices, square_around, transform, warp
from fkd.io import images
from fkd.synthetic import face
from tests.config.test_conf import compose

EXACT = Jitter(0, 0, 0)
FACE = FaceCrop(size=48, scale=1.5, jitter=EXACT)


def spot(folder: Path, height: int, width: int, x: int, y: int) -> Path:
    """A black image with a white spot, 9 pixels wide, about (x, y)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = 255
    path = folder / f"{height}x{width}.png"
    images.write(path, image)
    return path


def middle(image: np.ndarray) -> tuple[float, float]:
    """(x, y) of what is bright."""
    y, x = np.nonzero(image > 0.5)
    return float(x.mean()), float(y.mean())


POINTS = {
    "inside": [[60, 50], [40, 40], [70, 80]],
    "beyond an edge": [[60, 20], [-20, 5], [90, 70]],
    "beyond the other": [[100, 90], [60, 60], [130, 118]],
}


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
def test_a_face_is_where_its_target_says(tmp_path: Path, points: list[list[int]]) -> None:
    path = spot(tmp_path, 110, 120, *points[0])
    image, target = NotebookDataset([path], np.array([points], np.float32), FACE, center=24, unit=12, channels=1)[0]
    assert image.shape == (1, 48, 48)
    assert image.dtype == target.dtype == torch.float32
    assert target.shape == (6,)
    np.testing.assert_allclose(target[:2].numpy() * 12 + 24, middle(image[0].numpy()), atol=1)


def test_a_file_may_have_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = spot(tmp_path, 110, 120, 60, 50).rename(tmp_path / "bytes\udcff.png")
    points = np.array([POINTS["inside"]], np.float32)
    assert NotebookDataset([path], points, FACE, center=24, unit=12, channels=1)[0][0].max() == 1


def test_a_face_is_shown_as_fkd_shows_it(tmp_path: Path) -> None:
    photo, points = face(0, 0, 0, 200)
    images.write(tmp_path / "face.png", photo)
    image, target = NotebookDataset([tmp_path / "face.png"], points[None], FACE, center=10, unit=20, channels=1)[0]
    matrix = crop_matrices(FACE.window(square_around(points)), 48)
    expected = warp(images.in_channels(photo, 1), matrix, np.empty((48, 48), np.uint8))
    assert np.corrcoef(image.ravel().numpy(), expected.ravel())[0, 1] > 0.95
    np.testing.assert_allclose(target.reshape(-1, 2) * 20 + 10, transform(points, matrix), atol=1.2)


@pytest.mark.parametrize(("height", "width"), [(120, 200), (200, 120), (301, 300)])
def test_a_frame_is_cut_anywhere_and_its_target_goes_along(tmp_path: Path, height: int, width: int) -> None:
    path = spot(tmp_path, height, width, width // 2, height // 2)
    crop, points = FrameCrop(size=80, short_side=100, scale=2, y=0), [[[width // 2, height // 2], [0, 0]]]
    data = NotebookDataset([path], np.array(points, np.float32), crop, center=0, unit=1, channels=1)
    targets, seen = [], 0
    for _ in range(60):
        image, target = data[0]
        if (abs(target[:2] - 40) < 34).all():  # else the spot is cut off
            np.testing.assert_allclose(target[:2].numpy(), middle(image[0].numpy()), atol=1)
            seen += 1
        targets.append(-target[2:].numpy())
    assert seen > 10
    reach = np.round(100 * np.array([width, height]) / min(width, height)) - 80
    assert (np.min(targets, axis=0) >= 0).all()
    assert (np.max(targets, axis=0) <= reach).all()
    assert (np.ptp(targets, axis=0) > reach / 2).all()


def test_a_frame_of_which_all_is_cut_is_the_rescaled_image() -> None:
    image = face(0, 0, 0, 96)[0]
    cut, points = from_frame(image, np.array([[95, 95]], np.float32), 96, 96)
    assert (cut == image).all()
    np.testing.assert_array_equal(points, [[95, 95]])


def test_red_is_as_bright_as_red_is(tmp_path: Path) -> None:
    red = np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = 255
    images.write(tmp_path / "red.png", red)
    points = np.array([[[20, 20], [80, 80]]], np.float32)
    image, _ = NotebookDataset([tmp_path / "red.png"], points, FACE, 0, 1, channels=1)[0]
    np.testing.assert_allclose(image, 0.299, atol=0.003)
    colours, _ = NotebookDataset([tmp_path / "red.png"], points, FACE, 0, 1, channels=3)[0]
    np.testing.assert_allclose(colours.mean(dim=(1, 2)), [1, 0, 0], atol=0.003)


def test_what_is_no_image_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"text\.jpg: expected an image"):
        NotebookDataset([tmp_path / "text.jpg"], np.zeros((1, 2, 2), np.float32), FACE, 0, 1, 1)[0]


def config(*overrides: str) -> tuple[DictConfig, Faces]:
    cfg = compose(*overrides, "crop.size=40", name="benchmark")
    return cfg, build_faces(cfg)


def test_files_of_the_source_are_read_where_they_lie(faces_root: Path, tmp_path: Path) -> None:
    cfg, faces = config("data=udacity", f"data.root={faces_root}", f"data.cache_dir={tmp_path}/cache")
    data, train = notebook_dataset(cfg, faces, tmp_path / "scratch"), faces.subset("train")
    assert [file.parent.parent for file in data.files] == [faces_root] * len(train)
    assert not (tmp_path / "scratch").exists()
    for file, row in zip(data.files, train.images, strict=True):
        assert (images.read(file, 1) == faces.images[int(row)]).all()
    np.testing.assert_array_equal(data.keypoints, train.keypoints)
    assert (data.center, data.unit, data.crop.size) == (20, 20, 40)  # half of the crop, as all models have it


def test_images_without_files_are_written(tmp_path: Path) -> None:
    cfg, faces = config(f"data.root={tmp_path}", "data.subjects=4", "data.frames=2")
    data, train = notebook_dataset(cfg, faces, tmp_path / "scratch"), faces.subset("train")
    assert len(data) == len(train)
    for file, row in zip(data.files, train.images, strict=True):
        difference = images.read(file, 1).astype(int) - faces.images[int(row)]
        assert np.abs(difference).mean() < 2


def test_a_codec_without_coordinates_is_one_line(tmp_path: Path) -> None:
    cfg, faces = config(f"data.root={tmp_path}", "data.subjects=4", "data.frames=2")
    cfg.model.codec = {"_target_": "types.SimpleNamespace"}
    with pytest.raises(UserError, match=r"model=compact: expected the codec .*Coordinates.* found SimpleNamespace"):
        notebook_dataset(cfg, faces, tmp_path)
