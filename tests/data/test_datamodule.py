"""What the loaders and what is learned of the faces beforehand take from a table, and how much memory that costs."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from fkd.data.augment import Augmentation
from fkd.data.crop_plans import FaceCrop
from fkd.data.datamodule import KeypointDataModule
from fkd.data.face_data import Faces
from fkd.geometry import Jitter
from fkd.schema import IBUG68
from fkd.types import Annotations


def made_up(rows: int) -> Faces:
    """Faces on one photo; every fourth row validates, every fourth tests, and no split is in one piece."""
    rng = np.random.default_rng(0)
    table = Annotations(
        schema=IBUG68,
        paths=np.array(["somebody.png"] * rows),
        images=np.zeros(rows, np.int64),
        keypoints=rng.uniform(30, 80, (rows, 68, 2)).astype(np.float32),
        visible=rng.random((rows, 68)) < 0.9,
        subjects=np.array([f"subject {i % 10}" for i in range(rows)]),
        label_shift=rng.random((rows, 2)).astype(np.float32),
    )
    order = np.arange(rows)
    splits = {"train": order[order % 4 < 2], "val": order[order % 4 == 2], "test": order[order % 4 == 3]}
    photo = rng.integers(0, 256, (120, 100), np.uint8)
    return Faces(table, splits, [photo], "made up", ())  # type: ignore[arg-type]


def loaders_of(faces: Faces) -> KeypointDataModule:
    crop = FaceCrop(64, 1.35, Jitter(0.0, 0.0, 0.0))
    return KeypointDataModule(faces, crop, partial(Augmentation, [], 0.0), batch_size=4, num_workers=0, seed=0)


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Gives how many bytes the block has allocated at most."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_dataset_reads_its_splits_rows_of_the_table(split: str) -> None:
    faces = made_up(40)
    data = loaders_of(faces)
    dataset = {"train": data.train_set, "val": data.val_set}[split]
    table, items = faces.subset(split), [7, 0, 5]
    batch = dataset.__getitems__(items)
    assert len(dataset) == len(table)
    assert batch.row.tolist() == items
    np.testing.assert_array_equal(batch.visible, table.visible[items])
    np.testing.assert_array_equal(batch.label_shift, table.label_shift[items])
    for points, matrix, row in zip(batch.keypoints.numpy(), batch.matrix.numpy(), items, strict=True):
        np.testing.assert_allclose(points, table.keypoints[row] @ matrix[:, :2].T + matrix[:, 2], atol=1e-3)


def test_the_mean_shape_is_that_of_the_training_faces_in_their_windows() -> None:
    faces = made_up(40)
    shapes = []
    for points in faces.subset("train").keypoints.astype(float):
        low, high = points.min(axis=0), points.max(axis=0)
        side = 1.35 * (high - low).max()
        shapes.append((points - (low + high) / 2 + side / 2) * 64 / side - 0.5)
    np.testing.assert_allclose(loaders_of(faces).mean_shape(), np.mean(shapes, axis=0), atol=1e-3)


def test_what_is_known_of_the_faces_before_training_is_no_second_table() -> None:
    """Loaders and fingerprints copy less than a tenth of the keypoints, of which a training holds one copy."""
    faces = made_up(40_000)
    few = faces.table.keypoints.nbytes / 10
    with peak() as allocated:
        loaders_of(faces)
        assert allocated() < few
        faces.fingerprints()
        assert allocated() < few
