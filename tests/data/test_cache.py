import os
import pickle
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from fkd.data.cache import ImageCache, files_key
from fkd.errors import UserError
from fkd.io.images import read_ahead
from fkd.types import Image

COUNT = 40
FORK = get_context("fork")  # new processes without importing torch again


def image(index: int) -> Image:
    """Grey and RGB in turn, each of its own size."""
    shape = (5 + index % 7, 4 + index % 5) + ((3,) if index % 2 else ())
    return np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)


class Counted:
    """`image`, with the calls counted."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, index: int) -> Image:
        self.calls.append(index)
        return image(index)


def build(directory: Path, read: Callable[[int], Image] = image, key: str = "key", count: int = COUNT) -> ImageCache:
    return ImageCache.build(directory, key, count, lambda: read_ahead(read, range(count), lambda _: 1, 2), "Reading")


def the_file(directory: Path) -> Path:
    (path,) = directory.glob("key*")
    return path


def assert_right(cache: ImageCache) -> None:
    assert len(cache) == COUNT
    for index in range(COUNT):
        assert cache[index].dtype == np.uint8
        assert np.array_equal(cache[index], image(index))


def test_holds_every_image_in_its_own_size(tmp_path: Path):
    cache = build(tmp_path / "made" / "on demand")
    assert_right(cache)
    with pytest.raises(IndexError):
        cache[COUNT]


def test_images_are_views_that_cannot_be_written(tmp_path: Path):
    cache = build(tmp_path)
    assert not cache[0].flags.owndata
    assert np.shares_memory(cache[0], cache[0])
    with pytest.raises(ValueError, match="read-only"):
        cache[0][0, 0] = 1


def test_images_are_read_once_for_all_runs(tmp_path: Path):
    first, second = Counted(), Counted()
    build(tmp_path, first)
    assert_right(build(tmp_path, second))
    assert sorted(first.calls) == list(range(COUNT))
    assert second.calls == []


def test_the_bar_is_shown_only_while_building(tmp_path: Path, capfd):
    build(tmp_path)
    assert f"{COUNT}/{COUNT}" in capfd.readouterr().err
    build(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_another_key_is_another_cache(tmp_path: Path):
    read = Counted()
    build(tmp_path, read, "a")
    build(tmp_path, read, "b")
    assert len(read.calls) == 2 * COUNT


def test_pickling_carries_no_pixels(tmp_path: Path):
    cache = build(tmp_path)
    assert len(cache[0]) > 0  # the map is open
    data = pickle.dumps(cache)
    assert len(data) < 1000
    assert_right(pickle.loads(data))


def test_a_pickled_cache_is_found_from_another_folder(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(build(Path("relative")))
    monkeypatch.chdir("/")
    assert_right(pickle.loads(data))


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_cut_file_is_made_anew(tmp_path: Path, keep: float):
    build(tmp_path)
    path = the_file(tmp_path)
    size = path.stat().st_size
    os.truncate(path, int(size * keep) if 0 < keep < 1 else int(keep) % size)
    read = Counted()
    assert_right(build(tmp_path, read))
    assert len(read.calls) == COUNT
    assert path.stat().st_size == size


def test_a_file_of_something_else_is_made_anew(tmp_path: Path):
    build(tmp_path)
    path = the_file(tmp_path)
    path.write_bytes(bytes(path.stat().st_size))
    assert_right(build(tmp_path))
    path.write_bytes(b"longer " + path.read_bytes())
    assert_right(build(tmp_path))
    path.write_bytes(path.read_bytes().replace(b"fkdimg02", b"fkdimg01"))  # of a version with another format
    read = Counted()
    assert_right(build(tmp_path, read))
    assert len(read.calls) == COUNT


def test_damaged_pixels_are_never_given_and_the_next_run_makes_them_anew(tmp_path: Path):
    build(tmp_path)
    path = the_file(tmp_path)
    size = sum(image(i).size for i in range(COUNT))
    path.write_bytes(bytes(size) + path.read_bytes()[size:])
    cache = build(tmp_path)
    with pytest.raises(UserError, match="decoded image 3 is damaged") as error:
        cache[3]
    assert "\n" not in str(error.value)
    assert_right(build(tmp_path))


def test_any_changed_byte_behind_the_pixels_is_noticed_and_said(tmp_path: Path, capfd):
    build(tmp_path)
    path = the_file(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    size = sum(image(i).size for i in range(COUNT))
    for place in rng.choice(np.arange(size, len(whole)), 20, replace=False).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :])
        capfd.readouterr()
        assert_right(build(tmp_path))
        assert f"{path}: damaged" in capfd.readouterr().err
        assert path.read_bytes() == whole


def test_a_file_cut_while_it_is_open_is_an_error_not_the_end_of_the_process(tmp_path: Path):
    def work() -> None:
        cache = ImageCache.build(
            tmp_path, "key", 20, lambda: (np.full((99, 99), i, np.uint8) for i in range(20)), "Reading"
        )
        assert cache[15].max() == 15
        os.truncate(the_file(tmp_path), 10)
        with pytest.raises(UserError, match="damaged"):
            cache[15].max()

    process = FORK.Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode == 0


def test_a_cache_of_another_length_is_made_anew(tmp_path: Path):
    build(tmp_path, count=3)
    assert_right(build(tmp_path))


def test_an_open_cache_outlives_its_file_and_a_closed_one_says_so(tmp_path: Path):
    cache = build(tmp_path)
    closed = pickle.loads(pickle.dumps(cache))
    the_file(tmp_path).unlink()
    assert_right(cache)
    with pytest.raises(UserError, match="gone or cut off") as error:
        closed[0]
    assert str(tmp_path) in str(error.value)


def test_what_a_killed_build_left_does_no_harm_and_goes(tmp_path: Path):
    def killed_on_the_way(index: int) -> Image:
        if index == 500:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros((200, 200), np.uint8)

    process = FORK.Process(target=build, args=(tmp_path, killed_on_the_way, "key", 1000))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert [*tmp_path.glob(".key*.tmp")]
    assert not [*tmp_path.glob("key*")]
    assert_right(build(tmp_path))
    assert not [*tmp_path.glob(".key*.tmp")]


def test_two_processes_that_start_at_once_read_every_image_once(tmp_path: Path):
    start = FORK.Barrier(2, timeout=30)

    def work(name: str) -> None:
        def read(index: int) -> Image:
            time.sleep(0.005)
            (tmp_path / f"read-{name}-{index}").touch()
            return image(index)

        start.wait()
        assert_right(build(tmp_path / "cache", read))

    both = [FORK.Process(target=work, args=(name,)) for name in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    read = [path.name.split("-")[1] for path in tmp_path.glob("read-*")]
    assert len(read) == COUNT
    assert len(set(read)) == 1


def test_without_file_locks_the_last_one_stays(tmp_path: Path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError("locks are not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    started = threading.Barrier(2, timeout=10)

    def read(index: int) -> Image:
        if index == 0:
            started.wait()
        return image(index)

    def other() -> None:
        assert_right(build(tmp_path, read))

    thread = threading.Thread(target=other)
    thread.start()
    assert_right(build(tmp_path, read))
    thread.join()
    assert_right(build(tmp_path))
    assert not [*tmp_path.glob(".key*.tmp")]


def test_only_a_few_images_wait_in_memory(tmp_path: Path):
    go_on = threading.Event()
    calls: list[int] = []

    def read(index: int) -> Image:
        if index == 0:
            go_on.wait(0.2)  # everything else has to wait for the first
        calls.append(index)
        if index == 0:
            assert len(calls) < 20
        return image(index % COUNT)

    build(tmp_path, read, count=1000)
    assert len(calls) == 1000


def test_an_unreadable_image_ends_the_build_and_leaves_nothing(tmp_path: Path):
    calls = []

    def read(index: int) -> Image:
        calls.append(index)
        if index == 300:
            raise UserError("image 300 is cut off")
        return image(index)

    with pytest.raises(UserError, match="image 300 is cut off"):
        build(tmp_path, read, count=5000)
    assert len(calls) < 1000
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]
    assert_right(build(tmp_path))


def test_a_folder_that_cannot_be_written_names_itself_and_the_key(tmp_path: Path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/cache")):
        with pytest.raises(UserError, match=r"data\.cache_dir") as error:
            build(folder)
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path):
    build(tmp_path)
    tmp_path.chmod(0o500)
    assert_right(build(tmp_path))
    with pytest.raises(UserError, match=r"data\.cache_dir"):
        build(tmp_path, key="other")
    tmp_path.chmod(0o700)


def test_no_room_left(tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"data\.cache_dir"):
            build(tmp_path, lambda _: np.zeros((50, 50), np.uint8), count=1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]


def test_the_key_of_files_changes_with_what_they_are(tmp_path: Path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"1234")
        os.utime(path, ns=(10**18, 10**18))
    key = files_key(paths, 3)
    assert files_key(paths, 3) == key
    assert files_key(paths, 1) != key
    assert files_key(paths[::-1], 3) != key
    assert files_key(paths[:1], 3) != key
    os.utime(paths[1], ns=(10**18, 10**18 + 1))
    assert files_key(paths, 3) != key
    paths[1].write_bytes(b"12345")
    os.utime(paths[1], ns=(10**18, 10**18))
    assert files_key(paths, 3) != key
    paths[1].unlink()
    with pytest.raises(UserError, match=r"b\.png"):
        files_key(paths, 3)


def test_the_key_is_the_same_from_another_folder(tmp_path: Path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"1234")
    monkeypatch.chdir(tmp_path)
    assert files_key([Path("a.png")], 1) == files_key([tmp_path / "a.png"], 1)
