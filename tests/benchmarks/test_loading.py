import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from benchmarks import loading
from benchmarks.notebook import NotebookDataset
from fkd.cli.command import CONF
from fkd.codecs import Coordinates
from fkd.data.crop_plans import FaceCrop
from fkd.data.dataset import CropDataset
from fkd.errors import UserError
from fkd.geometry import Jitter
from fkd.io import images
from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.types import Annotations
from tests.conftest import Outcome

pytestmark = [  # what the other libraries say of themselves
    pytest.mark.filterwarnings(f"ignore:{start}")
    for start in ("The image decoding and encoding", "Got processor for keypoints", "RandomErasing")
]
ROWS, SIZE = 12, 64
SPOT = 45  # a point whose mirror image is another


def crops(images: Any, keypoints: np.ndarray, jitter: float = 0.05) -> CropDataset:
    table = Annotations(
        schema=IBUG68,
        paths=np.array([f"{i}.png" for i in range(len(keypoints))]),
        images=np.arange(len(keypoints)),
        keypoints=keypoints,
        visible=np.ones(keypoints.shape[:2], bool),
        subjects=np.array(["somebody"] * len(keypoints)),
        label_shift=np.zeros((len(keypoints), 2), np.float32),
    )
    return CropDataset(table, images, FaceCrop(SIZE, 1.4, Jitter(*[jitter] * 3)).training, SIZE, None, seed=3)


def faces(jitter: float = 0.05) -> CropDataset:
    drawn = [face(0, subject, 0, 120) for subject in range(ROWS)]
    photos = [np.pad(images.in_channels(image, 1), 60) for image, _ in drawn]  # no window ends beyond
    return crops(photos, np.stack([points for _, points in drawn]) + np.float32(60), jitter)


def spots() -> CropDataset:
    """Black images with a white spot about one of the points."""
    keypoints = np.random.default_rng(0).uniform(40, 160, (ROWS, 68, 2)).astype(np.float32)
    keypoints[:, SPOT] = np.random.default_rng(1).integers(80, 120, (ROWS, 2))
    photos = np.zeros((ROWS, 200, 200), np.uint8)
    for image, (x, y) in zip(photos, keypoints[:, SPOT].astype(int), strict=True):
        image[y - 6 : y + 7, x - 6 : x + 7] = 255
    return crops(list(photos), keypoints)


def option(name: str) -> Any:
    return OmegaConf.load(CONF / f"augmentation/{name}.yaml")


def test_all_sides_make_the_same_batches_that_change_and_cover_the_faces() -> None:
    seen: dict[str, list[list[int]]] = {"a": [], "b": []}
    times = loading.microseconds({name: made.append for name, made in seen.items()}, faces=10, size=4, turns=2)
    assert seen["a"] == seen["b"]
    assert times["a"].shape == (2,)
    rows = np.concatenate(seen["a"])
    assert {len(batch) for batch in seen["a"]} == {4}
    assert all(sorted(epoch) == list(range(10)) for epoch in rows[: len(rows) // 10 * 10].reshape(-1, 10))
    assert len({tuple(batch) for batch in seen["a"]}) == len(seen["a"])


def test_a_batch_may_be_larger_than_the_data() -> None:
    made: list[list[int]] = []
    loading.microseconds({"a": made.append}, faces=3, size=7, turns=1)
    assert {len(batch) for batch in made} == {7}


def test_times_are_those_of_one_crop() -> None:
    def wait(rows: list[int]) -> None:
        time.sleep(0.002)

    times = loading.microseconds({"a": wait}, faces=10, size=4, turns=3)["a"]
    assert 500 <= times.min() < 1000


def test_ratios_are_taken_turn_by_turn() -> None:
    ours, other = np.array([10.0, 20, 40, 80, 50]), np.array([30.0, 20, 400, 160, 100])
    rows = {row.name: row for row in loading.rates({"fkd": ours, "other": other}, ", x")}
    assert [(row.name, row.unit) for row in rows.values()] == [
        ("fkd, x", "items a second"),
        ("other, x", "items a second"),
        ("fkd over other, x", "x"),
    ]
    assert rows["fkd, x"].median == 25_000
    assert rows["fkd over other, x"].median == 2  # of 3, 1, 10, 2, 2; the medians' ratio is 2.5


def test_both_loaders_give_the_same_faces(tmp_path: Path) -> None:
    data, codec = faces(jitter=0), Coordinates(20, 10)
    for i, image in enumerate(data.images):  # type: ignore[arg-type]
        images.write(tmp_path / f"{i}.png", image)
    files = [tmp_path / f"{i}.png" for i in range(ROWS)]
    notebook = NotebookDataset(files, data.table.keypoints, FaceCrop(SIZE, 1.4, Jitter(0, 0, 0)), 20, 10, 1)
    sides = loading.loading(data, notebook, codec)
    (ours, points), (theirs, target) = (sides[name]([4, 1, 7]) for name in ("fkd", "notebook loader"))
    assert ours.shape == theirs.shape == (3, 1, SIZE, SIZE)
    assert ours.dtype == theirs.dtype == torch.float32
    assert (ours - theirs).abs().mean() < 0.04
    torch.testing.assert_close(points.reshape(3, -1), target, atol=0.15, rtol=0)  # 1.5 pixels


@pytest.mark.parametrize("library", [loading.albumentations, loading.torchvision])
def test_points_of_other_libraries_stay_on_their_images(library: Callable[[Any], loading.Change]) -> None:
    """The spot is at the point that takes its place: mirrored, and turned and shifted with the image."""
    config = option("strong")
    config.transforms = config.transforms[:1]
    config.transforms[0].p = 1
    data, far = spots(), []
    image, points = loading.OneByOne(data, 1.0, library(config))(list(range(ROWS)))
    straight = data.__getitems__(range(ROWS))
    assert image.shape == (ROWS, 1, SIZE, SIZE)
    assert image.dtype == torch.uint8
    for shown, place in zip(image[:, 0].numpy(), points[:, IBUG68.flip[SPOT]].numpy(), strict=True):
        y, x = np.nonzero(shown > 127)
        far.append(np.abs(place - [x.mean(), y.mean()]).max())
    assert np.median(far) < 1
    assert (points[:, IBUG68.flip[SPOT]] - straight.keypoints[:, SPOT]).abs().mean() > 2


@pytest.mark.parametrize("name", ["light", "strong"])
def test_all_sides_make_batches_of_the_same_kind(name: str) -> None:
    sides = loading.augmenting(faces(), option(name))
    assert [*sides] == ["fkd", "albumentations' own chain", "torchvision v2"]
    for side in sides.values():
        image, points, *_ = side([3, 5])
        assert image.shape == (2, 1, SIZE, SIZE)
        assert image.dtype == torch.uint8
        assert points.shape == (2, 68, 2)
        assert points.dtype == torch.float32


def test_every_transform_of_torchvision_changes_images_about_as_strongly_as_its_counterpart() -> None:
    data = faces(jitter=0)
    plain = data.__getitems__(range(ROWS)).image.float()
    for transform in option("strong").transforms:
        alone = OmegaConf.create({"transforms": [{**transform, "p": 1.0}]})
        changes = [
            (loading.OneByOne(data, 0.0, library(alone))([*range(ROWS)] * 6)[0].float() - plain.repeat(6, 1, 1, 1))
            for library in (loading.albumentations, loading.torchvision)
        ]
        theirs, ours = (change.abs().mean().item() for change in changes)
        assert 0.2 < ours / theirs < 2, transform._target_


def test_what_torchvision_lacks_is_one_line() -> None:
    config = OmegaConf.create({"transforms": [{"_target_": "albumentations.Emboss"}]})
    with pytest.raises(UserError, match=r"augmentation\.transforms: .*found Emboss"):
        loading.torchvision(config)


def test_a_torchvision_without_keypoints_is_named_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_KEYPOINTS", None)
    side = loading.augmenting(faces(), option("strong"))["torchvision v2, images only"]
    assert side([1, 2])[1].shape == (2, 68, 2)


@pytest.mark.parametrize("name", ["light", "strong"])
def test_the_parts_make_the_batch_that_the_whole_makes(name: str) -> None:
    whole, *steps = loading.parts(faces(), option(name)).values()
    batches = [[3, 1, 2], [7, 0, 5], [6, 4, 8]]
    made: list[Any] = []
    for step in steps:  # as in a turn: each step does several batches before the next step does them
        made = [step(rows) for rows in batches]
    for rows, batch in zip(batches, made, strict=True):
        for part, expected in zip(batch, whole(rows), strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=0)


def test_the_script_writes_every_figure(script: Callable[..., Outcome], faces_root: Path) -> None:
    data = ("data=udacity", f"data.root={faces_root}", "data.cache_dir=cache", "data.val_share=0.3")
    few = ("crop.size=32", "data.batch_size=4", "turns=2", "hydra.run.dir=out")
    outcome = script("benchmark", "data", *data, *few)
    assert outcome.status == 0, outcome.err
    groups = json.loads(Path("out/benchmark.json").read_text())["figures"]
    names = {title: [row["name"] for row in rows] for title, rows in groups.items()}
    assert [*names] == ["data alone, no augmentation", "crop and augmentation", "parts of strong, one crop"]
    assert names["data alone, no augmentation"] == ["fkd", "notebook loader", "fkd over notebook loader"]
    for strength in ("light", "strong"):
        sides = {f"{side}, {strength}" for side in ("fkd", "albumentations' own chain", "torchvision v2")}
        assert sides < set(names["crop and augmentation"])
    assert names["parts of strong, one crop"][0] == "all of it"
    for rows in groups.values():
        for row in rows:
            assert 0 < row["low"] <= row["median"] <= row["high"]
