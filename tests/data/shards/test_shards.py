"""Shards hold what their source holds, and an epoch reads all of it once, in the order in which it lies."""

import json
import multiprocessing
import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace

import albumentations
import cv2
import numpy as np
import pytest
import torch

from fkd.data.augment import Augmentation
from fkd.data.combine import beside, mixed
from fkd.data.crop_plans import FaceCrop
from fkd.data.datamodule import KeypointDataModule
from fkd.data.dataset import CropDataset
from fkd.data.face_data import Faces
from fkd.data.shards.source import shards
from fkd.data.shards.writer import Storage, write
from fkd.errors import UserError
from fkd.geometry import Jitter
from fkd.types import Batch
from tests.data.test_datamodule import made_up

ROWS, IMAGES = 90, 60
RAW = Storage("raw", 95, size=7, seed=0)


def crowd(channels: int = 1) -> Faces:
    """Faces of which several share an image, whatever their split; the last two images show none."""
    rng = np.random.default_rng(1)
    images = [
        rng.integers(0, 256, (90 + i % 9, 80 + i % 7, channels)[: 2 + (channels > 1)], np.uint8) for i in range(62)
    ]
    faces = made_up(ROWS)
    order = rng.permutation(np.r_[np.arange(IMAGES), rng.integers(0, IMAGES, ROWS - IMAGES)])
    table = replace(faces.table, images=order, paths=np.array([f"ä/{i:02}.png" for i in order]))
    return replace(faces, table=table, images=images, name="crowd", remarks=("a crowd",))  # type: ignore[arg-type]


def written(folder: Path, faces: Faces, storage: Storage = RAW, channels: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    write(faces, channels, folder, storage)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("shards") / "raw", crowd())


def opened(folder: Path, channels: int = 1, buffer: int = 20) -> Faces:
    return shards(str(folder), "ibug68", channels, buffer)


def loaders(faces: Faces, workers: int = 0, seed: int = 0, rank: int = 0, world: int = 1) -> KeypointDataModule:
    crop = FaceCrop(32, 1.3, Jitter(0.1, 0.1, 0.1))
    augmentation = partial(Augmentation, [albumentations.GaussNoise(p=0.5)], 0.5)
    data = KeypointDataModule(faces, crop, augmentation, batch_size=4, num_workers=workers, seed=seed)
    device = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, strategy=device)  # type: ignore[assignment]
    return data


def epoch(data: KeypointDataModule, number: int) -> Iterator[Batch]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)  # type: ignore[union-attr]
    return iter(loader)


def rows(data: KeypointDataModule, number: int = 0) -> list[int]:
    return torch.cat([batch.row for batch in epoch(data, number)]).tolist()


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_table_and_all_that_is_made_of_it_is_the_sources(folder: Path) -> None:
    source, faces = crowd(), opened(folder)
    assert faces.fingerprints() == source.fingerprints()
    for name in ("paths", "keypoints", "visible", "subjects", "label_shift"):
        np.testing.assert_array_equal(getattr(faces.table, name), getattr(source.table, name))
    for split, expected in source.splits.items():
        np.testing.assert_array_equal(faces.splits[split], expected)
    assert (loaders(faces).mean_shape() == loaders(source).mean_shape()).all()
    assert faces.remarks[0] == "a crowd"


@pytest.mark.parametrize(("encoding", "channels"), [*product(("raw", "png"), (1, 3))])
def test_lossless_crops_are_those_of_the_source_to_the_bit(tmp_path: Path, encoding: str, channels: int) -> None:
    source = crowd(channels)
    faces = opened(written(tmp_path, source, replace(RAW, encoding=encoding), channels), channels)
    items = [3, 45 + 3, 17, 0, 44, 80]
    for part in ("train_set", "val_set"):
        ours, theirs = (getattr(loaders(each), part).__getitems__(items) for each in (faces, source))
        assert equal(ours, theirs)
    assert len(faces.images) == IMAGES


def test_grey_crops_of_colour_shards_are_those_of_a_grey_source(tmp_path: Path) -> None:
    colour = crowd(3)
    grey = replace(colour, images=[cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in colour.images])  # type: ignore[call-overload]
    ours, theirs = loaders(opened(written(tmp_path, colour, channels=3))), loaders(grey)
    assert equal(ours.train_set.__getitems__([1, 2, 30]), theirs.train_set.__getitems__([1, 2, 30]))


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_images_are_known_as_those_of_the_source(tmp_path: Path, encoding: str) -> None:
    source = crowd()
    hashes = np.random.default_rng(0).integers(1, 2**63, len(source.images), np.uint64)[source.table.images]
    source = replace(source, table=replace(source.table, image_hashes=hashes))
    faces = opened(written(tmp_path, source, replace(RAW, encoding=encoding)))
    np.testing.assert_array_equal(faces.table.image_hashes, hashes)


def test_jpeg_keeps_what_a_image_shows_and_takes_less(tmp_path: Path) -> None:
    y, x = np.indices((90, 80))
    smooth = np.stack([y * 2, x * 3, 255 - y - x], axis=2).astype(np.uint8)
    source = replace(crowd(), images=[smooth] * IMAGES)
    sizes = []
    for encoding in ("png", "jpeg"):
        folder = written(tmp_path / encoding, source, replace(RAW, encoding=encoding), 3)
        np.testing.assert_allclose(opened(folder, 3).images[5], smooth.astype(int), atol=0 if encoding == "png" else 6)
        sizes.append(sum(path.stat().st_size for path in folder.glob("*.tar")))
    assert sizes[1] < sizes[0]


def test_shards_are_webdatasets_with_each_image_once(folder: Path) -> None:
    source, seen = crowd(), []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            names = tar.getnames()
            assert len(names) <= 2 * 7
            for image, text in zip(names[::2], names[1::2], strict=True):
                assert (Path(image).stem, Path(text).suffix) == (Path(text).stem, ".json")
                description = json.load(tar.extractfile(text))  # type: ignore[arg-type]
                pixels = cv2.imdecode(np.frombuffer(tar.extractfile(image).read(), np.uint8), -1)  # type: ignore[union-attr]
                for face in description["faces"]:
                    row = face["row"]
                    seen.append(row)
                    np.testing.assert_array_equal(pixels, source.images[source.table.images[row]])
                    assert description["path"] == source.table.paths[row]
                    assert face["subject"] == source.table.subjects[row]
                    assert row in source.splits[face["split"]]
                    np.testing.assert_array_equal(np.float32(face["keypoints"]), source.table.keypoints[row])
                    assert face["visible"] == source.table.visible[row].tolist()
                splits = {face["split"] for face in description["faces"]}
                assert path.name.startswith(min(splits, key=["train", "val", "test"].index))
    assert sorted(seen) == list(range(ROWS))


def test_a_set_written_twice_is_the_same_bytes_and_another_seed_mixes_it_otherwise(
    folder: Path, tmp_path: Path
) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    again, other = written(tmp_path / "again", crowd()), written(tmp_path / "other", crowd(), replace(RAW, seed=1))
    assert content(again) == content(folder)
    assert opened(other).fingerprints() == opened(folder).fingerprints()
    assert (other / "train-00000.tar").read_bytes() != (folder / "train-00000.tar").read_bytes()


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 2), (2, 0), (3, 2)])
def test_an_epoch_gives_each_process_as_many_batches_and_no_face_twice(folder: Path, world: int, workers: int) -> None:
    seen = [rows(loaders(opened(folder), workers, rank=rank, world=world), 3) for rank in range(world)]
    train = len(crowd().splits["train"])
    assert {len(part) for part in seen} == {train // world // 4 * 4}
    assert len(set(chain(*seen))) == sum(map(len, seen)) > train - 4 * world


@pytest.mark.parametrize("world", [1, 2])
def test_validation_has_every_face_once(folder: Path, world: int) -> None:
    data = [loaders(opened(folder), rank=rank, world=world) for rank in range(world)]
    seen = chain(*(torch.cat([batch.row for batch in part.val_dataloader()]).tolist() for part in data))
    assert sorted(seen) == list(range(len(crowd().splits["val"])))


def test_each_epoch_and_each_seed_has_an_order_of_its_own(folder: Path) -> None:
    orders = [rows(loaders(opened(folder), seed=seed), number) for seed in (0, 1) for number in (0, 1)]
    assert rows(loaders(opened(folder))) == orders[0]
    assert len({tuple(order) for order in orders}) == 4
    assert rows(loaders(opened(folder, buffer=0))) != orders[0]


def places(faces: Faces, order: list[int]) -> np.ndarray:
    """(R, 2) shard and first byte of each face's image."""
    train = faces.table.images[faces.splits["train"]]
    return faces.images._places[train[order], :2]  # type: ignore[attr-defined]


@pytest.mark.parametrize("block", [0, 2, 5])
@pytest.mark.parametrize(("world", "buffer"), [(1, 0), (1, 20), (2, 20), (3, 5)])
def test_a_process_reads_a_shard_nearly_from_its_start_to_its_end(
    folder: Path, world: int, buffer: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never goes back by more than `block` faces."""
    monkeypatch.setattr("fkd.data.shards.reader._BLOCK", block)
    faces = opened(folder, buffer=buffer)
    lying = places(faces, list(range(len(faces.splits["train"]))))
    for rank in range(world):
        read = places(faces, rows(loaders(faces, rank=rank, world=world)))
        for shard in np.unique(read[:, 0]):
            line = np.sort(lying[lying[:, 0] == shard, 1])
            numbers = np.searchsorted(line, read[read[:, 0] == shard, 1])
            assert (np.maximum.accumulate(numbers) - numbers <= block).all()


@pytest.mark.parametrize("buffer", [0, 20, 10_000])
def test_a_set_of_one_shard_has_other_batches_each_epoch(tmp_path: Path, buffer: int) -> None:
    data = loaders(opened(written(tmp_path, crowd(), replace(RAW, size=1_000)), buffer=buffer))
    first, second = ({tuple(sorted(batch.row.tolist())) for batch in epoch(data, number)} for number in (0, 1))
    assert len(first & second) < len(first) / 4


def test_what_the_buffer_holds_comes_plainly_at_random(folder: Path) -> None:
    faces = opened(folder, buffer=10_000)
    train = faces.table.images[faces.splits["train"]]
    orders = [faces.images.order(train, np.random.default_rng(seed), 1) for seed in range(400)]  # type: ignore[attr-defined]
    assert all(sorted(order) == list(range(len(train))) for order in orders[:3])
    mean = np.mean(np.argsort(orders, axis=1), axis=0)  # where each face comes
    assert np.abs(mean - (len(train) - 1) / 2).max() < 5 * len(train) / np.sqrt(12 * 400)


def test_a_buffer_mixes_shards_and_no_farther_than_it_is_wide(tmp_path: Path) -> None:
    source = made_up(4_000)
    images = [np.zeros((8, 8), np.uint8)] * 4_000
    table = replace(source.table, images=np.arange(4_000))
    folder = written(tmp_path, replace(source, table=table, images=images), replace(RAW, size=50))  # type: ignore[arg-type]

    def spread(buffer: int) -> tuple[float, int]:
        """How many shards a batch of 16 is of, and how far apart a shard's faces lie at most."""
        faces = opened(folder, buffer=buffer)
        order = faces.images.order(np.arange(4_000), np.random.default_rng(0), 1)  # type: ignore[attr-defined]
        shard = faces.images._places[order, 0]  # type: ignore[attr-defined]
        batches = shard.reshape(-1, 16)
        widest = max(np.ptp(np.flatnonzero(shard == each)) for each in np.unique(shard))
        return float(np.mean([len(set(batch)) for batch in batches.tolist()])), int(widest)

    assert spread(0) == (pytest.approx(1.3, abs=0.1), 49)
    several, widest = spread(400)
    assert several > 6
    assert widest <= 50 + 2 * 400


def test_processes_share_out_the_shards(tmp_path: Path) -> None:
    """Of 2,000 faces in 40 shards each of four processes reads its quarter and a few of its neighbours'."""
    source = made_up(2_000)
    table, everything = replace(source.table, images=np.arange(2_000)), {"train": np.arange(2_000)}
    images = [np.zeros((8, 8), np.uint8)] * 2_000
    source = replace(source, table=table, images=images, splits={**source.splits, **everything})  # type: ignore[arg-type]
    faces = opened(written(tmp_path, source, replace(RAW, size=50)), buffer=60)
    order = faces.images.order(np.arange(2_000), np.random.default_rng(0), 4)  # type: ignore[attr-defined]
    read = [len(np.unique(faces.images._places[order[rank::4], 0])) for rank in range(4)]  # type: ignore[attr-defined]
    assert max(read) <= 14


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_that_was_cut_goes_on_with_the_very_same_batches(folder: Path, workers: int) -> None:
    whole = list(epoch(loaders(opened(folder)), 2))
    data = loaders(opened(folder), workers)
    data.load_state_dict({"epoch": 2, "batches_done": 4, "order": data._order})
    rest = list(data.train_dataloader())
    assert len(rest) == len(whole) - 4
    assert all(equal(a, b) for a, b in zip(rest, whole[4:], strict=True))


def test_an_epoch_that_was_cut_does_not_go_on_with_other_shards(folder: Path, tmp_path: Path) -> None:
    then = loaders(opened(folder))._order
    other = loaders(opened(written(tmp_path, crowd(), replace(RAW, seed=1))))
    other.load_state_dict({"epoch": 2, "batches_done": 0, "order": then})
    for now in (other, loaders(crowd())):
        with pytest.raises(UserError, match=r"data\.root: expected shards [0-9a-f]{16}, since .* middle of an epoch"):
            now.load_state_dict({"epoch": 2, "batches_done": 4, "order": then})


def test_faces_that_share_a_image_in_a_batch_have_it_read_once() -> None:
    faces, read = crowd(), []

    class Counted:
        def __getitem__(self, index: int) -> np.ndarray:
            read.append(index)
            return faces.images[index]

    data = CropDataset(faces.table, Counted(), FaceCrop(16, 1.3, Jitter(0, 0, 0)).validation, 16, None, 0)  # type: ignore[arg-type]
    data.__getitems__(range(ROWS))
    assert sorted(read) == list(range(IMAGES))


def named(subject: str) -> Faces:
    """A crowd of other subjects."""
    others = crowd()
    return replace(others, table=replace(others.table, subjects=np.array([f"{subject} {i}" for i in range(ROWS)])))


def in_a_mix(one: Faces, other: Faces) -> Faces:
    return mixed({"one": {"source": one}, "other": {"source": other}}, None)


def test_shards_train_beside_another_source(folder: Path) -> None:
    others = named("other")
    both, alone = beside(opened(folder), others), beside(crowd(), others)
    items = list(range(0, 135, 9))
    assert equal(loaders(both).train_set.__getitems__(items), loaders(alone).train_set.__getitems__(items))


@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize("join", [beside, in_a_mix])
def test_shards_are_read_in_their_order_among_other_sources(
    folder: Path, join: Callable[[Faces, Faces], Faces], world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process goes from shard to shard and forwards in each, and other faces come in between."""
    monkeypatch.setattr("fkd.data.shards.reader._BLOCK", 0)
    faces = join(opened(folder, buffer=0), named("other"))
    train = faces.table.images[faces.splits["train"]]
    lying = opened(folder).images._places  # type: ignore[attr-defined]
    seen: list[int] = []
    for rank in range(world):
        order = rows(loaders(faces, rank=rank, world=world))
        seen += order
        numbers = np.array([image for image in train[order][:-1] if image < IMAGES])
        turns = lying[numbers, 0]
        assert np.count_nonzero(np.diff(turns)) == len(set(turns.tolist())) - 1
        for shard in np.unique(turns):
            assert (np.diff(lying[numbers[turns == shard], 1]) >= 0).all()
        halves = [np.mean(train[half] < IMAGES) for half in np.array_split(order, 2)]
        assert abs(halves[0] - halves[1]) < 0.4
    assert len(set(seen)) == len(seen) > len(train) - 4 * world
    assert rows(loaders(faces)) != rows(loaders(faces), 1)


def test_a_mix_without_shards_comes_plainly_at_random() -> None:
    data = loaders(in_a_mix(named("one"), named("other")))
    assert "data.root" not in data._order
    order = np.random.default_rng((0, 0)).permutation(len(data.train_set))
    assert rows(data) == order[: len(order) // 4 * 4].tolist()


def test_a_mix_that_was_cut_does_not_go_on_with_other_shards(folder: Path, tmp_path: Path) -> None:
    then = loaders(in_a_mix(opened(folder), named("other")))._order
    anew = opened(written(tmp_path, crowd(), replace(RAW, seed=1)))
    now = loaders(in_a_mix(anew, named("other")))
    with pytest.raises(UserError, match=r"data\.root: expected shards [0-9a-f]{16}, since .* middle of an epoch"):
        now.load_state_dict({"epoch": 2, "batches_done": 4, "order": then})
    loaders(in_a_mix(opened(folder), named("other"))).load_state_dict({"epoch": 2, "batches_done": 4, "order": then})


def test_a_process_that_loads_gets_shards_by_their_places(folder: Path) -> None:
    faces = opened(folder)
    expected = faces.images[3]
    copy = pickle.loads(pickle.dumps(faces.images))
    np.testing.assert_array_equal(copy[3], expected)


@pytest.mark.parametrize("last", [".settings.json", ".lock"])
def test_writing_that_was_killed_at_its_end_goes_on(folder: Path, tmp_path: Path, last: str) -> None:
    """All shards are there; what is left is to remove what the writing needed."""

    def killed() -> None:
        remove = Path.unlink

        def unlink(path: Path, missing_ok: bool = False) -> None:
            if path.name == last:
                os._exit(9)
            remove(path, missing_ok)

        Path.unlink = unlink  # type: ignore[method-assign]
        written(tmp_path, crowd())

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert process.exitcode == 9
    written(tmp_path, crowd())
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in folder.iterdir()}


def test_writing_that_was_killed_at_its_first_file_can_be_repeated(folder: Path, tmp_path: Path) -> None:
    """Only half of the settings is there, under the name of a temporary file."""

    def killed() -> None:
        Path.replace = lambda *_: os._exit(9)  # type: ignore[method-assign]
        written(tmp_path, crowd())

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert process.exitcode == 9
    assert any(path.suffix == ".tmp" for path in tmp_path.iterdir())
    written(tmp_path, crowd())
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in folder.iterdir()}


def test_writing_that_was_killed_goes_on_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Killed while a shard is being written; what was whole stays."""
    source = crowd()

    class Killing:
        def __getitem__(self, index: int) -> np.ndarray:
            if (tmp_path / "train-00003.tar").exists():
                os._exit(9)
            return source.images[index]

        def __len__(self) -> int:
            return len(source.images)

    process = multiprocessing.get_context("fork").Process(
        target=written, args=(tmp_path, replace(source, images=Killing()))
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    before = (tmp_path / "train-00001.tar").stat()
    assert not (tmp_path / "index.json").exists()
    with pytest.raises(UserError, match=r"index\.json"):
        opened(tmp_path)
    written(tmp_path, source)
    assert (tmp_path / "train-00001.tar").stat().st_mtime_ns == before.st_mtime_ns
    assert (tmp_path / "index.json").read_bytes() == (folder / "index.json").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in folder.iterdir()}
