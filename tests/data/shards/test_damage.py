"""Shards that are cut off, changed or untrusted, and folders that cannot take new ones: one line each."""

import json
import os
import resource
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fkd.data.cache import ImageCache
from fkd.data.face_data import Faces
from fkd.data.shards.encodings import decode, encode
from fkd.data.shards.source import shards
from fkd.data.shards.writer import Storage
from fkd.errors import UserError
from tests.data.shards.test_shards import IMAGES, RAW, ROWS, crowd, opened, written

SHARD = "train-00001.tar"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("shards") / "raw", crowd())


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(whole, tmp_path / "copy")


def read_all(folder: Path) -> None:
    show_all(opened(folder))


def show_all(faces: Faces) -> None:
    for image in range(IMAGES):
        faces.images[image]


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def change_index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / "index.json").read_text())
    change(content)
    (folder / "index.json").write_text(json.dumps(content))


def change_column(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """With an index that knows of it."""
    path = folder / "table" / f"{name}.npy"
    np.save(path, change(np.load(path)))
    change_index(folder, lambda content: content["table"].update({name: zlib.crc32(path.read_bytes())}))


def test_the_undamaged_copy_is_read(folder: Path) -> None:
    read_all(folder)


@pytest.mark.parametrize("keep", [0, 512, -1])
def test_a_truncated_shard_is_noticed_before_anything_is_read(folder: Path, keep: int) -> None:
    size = (folder / SHARD).stat().st_size
    os.truncate(folder / SHARD, keep % size)
    with pytest.raises(UserError, match=rf"{SHARD}: expected {size:,} bytes, found {keep % size:,}; copy") as error:
        opened(folder)
    one_line(error)


def test_a_shard_that_shrinks_or_goes_after_it_was_opened(folder: Path) -> None:
    faces = opened(folder)
    for damage, said in ((lambda path: os.truncate(path, 512), "expected a shard of"), (os.unlink, "gone")):
        damage(folder / SHARD)
        with pytest.raises(UserError, match=said):
            show_all(faces)


def test_a_missing_shard(folder: Path) -> None:
    (folder / SHARD).unlink()
    with pytest.raises(UserError, match=rf"{SHARD}: expected a shard, found none \(No such file"):
        opened(folder)


def member(folder: Path, number: int) -> tarfile.TarInfo:
    with tarfile.open(folder / SHARD) as tar:
        return tar.getmembers()[2 * number]


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def test_a_changed_byte_of_a_image_is_noticed_when_it_is_read_first(folder: Path) -> None:
    info = member(folder, 2)
    byte = (folder / SHARD).read_bytes()[info.offset_data + 900]
    overwrite(folder / SHARD, info.offset_data + 900, bytes([byte ^ 1]))
    said = rf"{SHARD}: image {int(Path(info.name).stem)}, at byte {info.offset_data:,}: .* another checksum; copy"
    with pytest.raises(UserError, match=said) as error:
        read_all(folder)
    one_line(error)


@pytest.mark.parametrize("said", [b"00000077777", b"99999999999", b"-0000000001", b"\0" * 11])
def test_a_member_that_says_another_size_than_the_index(folder: Path, said: bytes) -> None:
    """Even with the checksum of the changed header in the index."""
    info = member(folder, 0)
    overwrite(folder / SHARD, info.offset + 124, said)
    content = (folder / SHARD).read_bytes()[info.offset : info.offset_data + info.size]
    image = int(Path(info.name).stem)

    def change(places: np.ndarray) -> np.ndarray:
        places[image, 3] = zlib.crc32(content)
        return places

    change_column(folder, "places", change)
    with pytest.raises(UserError, match=rf"{SHARD}: image {image}, .* a file of another size"):
        read_all(folder)


@pytest.mark.parametrize(
    "name",
    ["../other.tar", "/etc/passwd", "a/b.tar", "..", "train.tar/..", ".hidden.tar", "train\n.tar", "train.tar\n", ""],
)
def test_a_shard_that_lies_elsewhere(folder: Path, name: str) -> None:
    (folder.parent / "other.tar").write_bytes((folder / SHARD).read_bytes())
    change_index(folder, lambda content: content["shards"][1].update(name=name))
    with pytest.raises(UserError, match=r"index\.json: expected shards in its own folder, found"):
        opened(folder)


def test_of_shards_that_kept_no_hashes_none_is_known(folder: Path) -> None:
    change_column(folder, "image_hashes", lambda hashes: hashes + np.uint64(7))
    assert (opened(folder).table.image_hashes == 7).all()
    (folder / "table" / "image_hashes.npy").unlink()
    with pytest.raises(UserError, match=r"image_hashes\.npy: expected a column of the table, found none"):
        opened(folder)
    change_index(folder, lambda content: content["table"].pop("image_hashes"))
    assert opened(folder).table.image_hashes.tolist() == [0] * ROWS


def test_a_column_that_is_cut_off_changed_or_missing(folder: Path) -> None:
    path = folder / "table" / "keypoints.npy"
    content = path.read_bytes()
    for damaged in (content[:-1], content[:40], b"", content[:-4] + b"\1\2\3\4"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"keypoints\.npy: expected the column that index\.json names") as error:
            opened(folder)
        one_line(error)
    path.unlink()
    with pytest.raises(UserError, match=r"keypoints\.npy: expected a column of the table, found none"):
        opened(folder)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("keypoints", lambda a: a[:, :5], "expected shape"),
        ("keypoints", lambda a: a.astype(float), "keypoints: expected f4"),
        ("visible", lambda a: a[1:], "expected shape"),
        ("images", lambda a: a + 1, "images: expected numbers from 0 to 59"),
        ("images", lambda a: a - 1, "images: expected numbers from 0 to 59"),
        ("train", lambda a: a + 50, "train: expected numbers from 0 to 89"),
        ("val", lambda a: a[1:], "splits: expected"),
        ("test", lambda a: a[:, None], "test: expected numbers"),
        ("places", lambda a: a[:, :3], r"\(P, 4\) places"),
        ("places", lambda a: a + np.array([100, 0, 0, 0]), "places: expected numbers"),
        ("places", lambda a: a + np.array([0, 0, 10**6, 0]), "lies outside of"),
        ("places", lambda a: a - np.array([0, 10**6, 0, 0]), "lies outside of"),
        ("places", lambda a: a + np.array([0, 2**62, 0, 0]), "lies outside of"),
        ("subjects", lambda a: np.arange(len(a)), "subjects: expected U"),
        ("image_hashes", lambda a: a.astype(np.int64), "image_hashes: expected u8"),
        ("image_hashes", lambda a: a[1:], "expected shape"),
    ],
)
def test_an_index_whose_parts_do_not_fit(folder: Path, name: str, change: Any, said: str) -> None:
    change_column(folder, name, change)
    with pytest.raises(UserError, match=rf"index\.json: expected an index of shards, .*{said}") as error:
        opened(folder)
    one_line(error)


def test_a_column_of_pickled_objects_is_never_run(folder: Path) -> None:
    change_column(folder, "subjects", lambda subjects: subjects.astype(object))
    with pytest.raises(UserError, match=r"index\.json: expected an index of shards"):
        opened(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "fkd shards, version 2"}', '{"format": 1', "null", "\xff", "[" * 100_000]
)
def test_an_index_of_something_else(folder: Path, text: str) -> None:
    (folder / "index.json").write_text(text, encoding="latin1")
    with pytest.raises(UserError, match=r"index\.json: expected") as error:
        opened(folder)
    one_line(error)


def test_an_empty_column_that_the_index_knows_of(folder: Path) -> None:
    (folder / "table" / "subjects.npy").write_bytes(b"")
    change_index(folder, lambda content: content["table"].update(subjects=0))
    with pytest.raises(UserError, match=r"index\.json: expected an index of shards, found another") as error:
        opened(folder)
    one_line(error)


def test_numbers_without_an_end(folder: Path) -> None:
    change_index(folder, lambda content: content["shards"][1].update(bytes=float("inf")))
    with pytest.raises(UserError, match=r"index\.json: expected an index of shards, found another") as error:
        opened(folder)
    one_line(error)


@pytest.mark.parametrize("key", ["schema", "channels", "shards", "table", "splits", "faces", "remarks"])
@pytest.mark.parametrize("value", [None, 7, "x"])
def test_an_index_with_a_broken_key(folder: Path, key: str, value: object) -> None:
    change_index(folder, lambda content: content.update({key: value}))
    if (key, value) == ("remarks", "x"):  # one a letter
        return
    with pytest.raises(UserError, match=r"index\.json: expected") as error:
        opened(folder)
    one_line(error)


def test_another_schema_and_colours_of_grey_shards(folder: Path) -> None:
    other = {"name": "three", "parts": {"all": "0-2"}, "flip": [1, 0, 2], "normaliser": [0, 1]}
    with pytest.raises(UserError, match=r"expected points of schema=three, found those of ibug68; choose"):
        shards(str(folder), other, 1, 0)
    with pytest.raises(UserError, match=r"channels=3: expected 1, .* grey images"):
        opened(folder, channels=3)


def test_a_schema_that_is_none(folder: Path) -> None:
    content = {"name": "three", "parts": {"all": "0-2"}, "flip": [1, 0, 2], "normaliser": [0, 0]}
    for schema in (content, "nobodys"):
        with pytest.raises(UserError, match="schema"):
            shards(str(folder), schema, 1, 0)


@pytest.mark.parametrize("buffer", [-1, 1.5, True, None, "many"])
def test_a_buffer_is_a_whole_number(folder: Path, buffer: Any) -> None:
    with pytest.raises(UserError, match=r"data\.buffer="):
        opened(folder, buffer=buffer)


def test_a_folder_without_shards(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none", 5):
        with pytest.raises(UserError, match=r"data\.root="):
            shards(root if root == 5 else str(root), "ibug68", 1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"P5", b"P5\n3 2\n255\n12345", b"P5\n3 2\n255\n1234567", b"P5\n-3 -2\n255\n123456", b"P5\n0 2\n255\n"),
        *(b"P6\n3 2\n255\n123456", b"P5\n3 2\n65535\n123456", b"P5\nx y\n255\n123456", b"\x89PNG\r\n\x1a\n", b"GIF"),
    ],
)
def test_bytes_of_no_image_are_an_error_whatever_they_are(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (in the words of who notices it)
        decode(np.frombuffer(data, np.uint8))


def test_pixels_as_they_are_are_a_view() -> None:
    data = np.frombuffer(encode(np.arange(60, dtype=np.uint8).reshape(10, 6), "raw", 95)[1], np.uint8)
    assert np.shares_memory(decode(data), data)


def test_an_output_that_exists_already(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected an empty folder, found shards \(index\.json\)"):
        written(folder, crowd())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(UserError, match=r"expected an empty folder, found letter\.txt"):
        written(tmp_path / "full", crowd())
    assert sorted(os.listdir(tmp_path / "full")) in (["letter.txt"], [".lock", "letter.txt"])


def cut(folder: Path, key: str | None = None) -> Path:
    """What is left of a writing that was cut: some shards, no index."""
    target = folder.parent / "cut"
    target.mkdir()

    class Cut:
        def __getitem__(self, index: int) -> np.ndarray:
            if (target / SHARD).exists():
                raise KeyboardInterrupt
            return np.asarray(crowd().images[index])

    images = Cut()
    if key is not None:
        images.key = key  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        written(target, replace(crowd(), images=images))  # type: ignore[arg-type]
    return target


@pytest.mark.parametrize(
    ("storage", "found"),
    [(replace(RAW, size=8), "size=7, found 8"), (replace(RAW, encoding="png"), "encoding=raw, found png")],
)
def test_what_was_cut_goes_on_with_the_same_settings_only(folder: Path, storage: Storage, found: str) -> None:
    with pytest.raises(UserError, match=f"expected to resume with {found}"):
        written(cut(folder), crowd(), storage)


def test_what_was_cut_goes_on_with_the_same_images_only(folder: Path, tmp_path: Path) -> None:
    def cached(key: str) -> Faces:
        images = crowd().images
        cache = ImageCache.build(tmp_path, key, len(images), lambda: (image for image in images), "Images")
        return replace(crowd(), images=cache)

    target = cut(folder, "then")
    with pytest.raises(UserError, match="expected to resume with images=then, found now; give the same command, ano"):
        written(target, cached("now"))
    written(target, cached("then"))
    read_all(target)


def test_a_damaged_shard_of_what_was_cut_is_named(folder: Path) -> None:
    target = cut(folder)
    os.truncate(target / SHARD, (target / SHARD).stat().st_size // 2)
    with pytest.raises(UserError, match=rf"{SHARD}: expected a shard with 7 images of this set, .*; remove it"):
        written(target, crowd())
    (target / SHARD).unlink()
    written(target, crowd())
    read_all(target)


def test_no_room_left_leaves_whole_shards_and_goes_on_later(folder: Path, tmp_path: Path) -> None:
    target, limits = tmp_path / "small", resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in folder.glob("*.tar"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write shards \(File too large\); make room") as error:
            written(target, crowd())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_line(error)
    assert not list(target.glob("*.tmp")) + list(target.glob(".*.tmp"))
    written(target, crowd())
    assert (target / "index.json").read_bytes() == (folder / "index.json").read_bytes()


@pytest.mark.parametrize("settings", [{"encoding": "webp"}, {"quality": 0}, {"quality": 101}])
def test_a_storage_that_is_none(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(settings))}="):
        replace(RAW, **settings)
