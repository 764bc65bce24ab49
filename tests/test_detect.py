from pathlib import Path

import numpy as np
import pytest

from fkd import images
from fkd.detect import Correction, Haar, iou
from fkd.geometry import Jitter


def test_correction_undoes_a_detectors_known_habit() -> None:
    """A box 1.25 times as wide as the points' square and 0.2 of the square's widths above it."""
    square = np.array([[100, 100, 180, 180]], np.float32)
    box = np.array([[140 - 50, 140 - 16 - 50, 140 + 50, 140 - 16 + 50]], np.float32)
    np.testing.assert_allclose(Correction(1 / 1.25, 0.0, 0.2 / 1.25)(box), square, atol=1e-3)


def test_iou_counts_pixels() -> None:
    """Against areas counted on a raster."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 40, (30, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)
    y, x = np.indices((60, 60))

    def raster(box: np.ndarray) -> np.ndarray:
        return (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])

    expected = [(raster(boxes[0]) & raster(b)).sum() / (raster(boxes[0]) | raster(b)).sum() for b in boxes]
    np.testing.assert_allclose(iou(boxes[0].astype(np.float32), boxes.astype(np.float32)), expected, rtol=1e-5)


def test_haar_finds_the_faces_of_a_photo_and_none_on_a_plain_wall(shared: Path) -> None:
    haar = Haar(1.2, 2, 0.1, Correction(1.0, 0.0, 0.0), Jitter(0.1, 0.1, 0.04))
    photo = images.read(next((shared / "data/photos").glob("*.jpg")), 3)
    boxes, scores = haar(photo)
    assert len(boxes) == len(scores) >= 2
    assert (np.diff(scores) <= 0).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    boxes, scores = haar(np.full((200, 200), 128, np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


@pytest.mark.parametrize("channels", [1, 3])
def test_haar_takes_grey_and_colour(shared: Path, channels: int) -> None:
    haar = Haar(1.2, 2, 0.1, Correction(1.0, 0.0, 0.0), Jitter(0.1, 0.1, 0.04))
    photo = images.read(next((shared / "data/photos").glob("*.jpg")), channels)
    assert len(haar(photo)[0]) >= 2
