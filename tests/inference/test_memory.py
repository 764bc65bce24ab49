import platform
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fkd.data.shards.writer
import fkd.data.sources.decoding
from fkd.data.face_data import Faces
from fkd.geometry import crop_matrices
from fkd.inference import labelled_faces, predictor
from fkd.io import images
from fkd.schema import IBUG68
from fkd.types import Annotations, Image

CODE = """
import resource
import numpy as np
from fkd.distributed import keep_memory
if {keeps}:
    keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives each large block back at once")
@pytest.mark.parametrize("keeps", [True, False])
def test_a_block_that_was_freed_is_used_again(keeps: bool) -> None:
    """The pages of 64 MiB are asked from the system once; without, they are at the second time, too."""
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(keeps=keeps)], capture_output=True, text=True, check=True
    )
    assert (int(result.stdout) < 10) == keeps


SIDE, FILES, BOUND = 40, 40, 3


class Shown:
    """Images that are made when they are asked for."""

    def __init__(self, make: Callable[[int], Image]) -> None:
        self.make = make

    def __len__(self) -> int:
        return FILES

    def __getitem__(self, index: int) -> Image:
        return self.make(index)


class Nothing:
    """A detector that finds no face."""

    limit = None

    def __call__(self, image: Image, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


def predict(paths: list[Path], make: Callable[[int], Image]) -> Iterable[object]:
    metadata = SimpleNamespace(
        schema=IBUG68,
        channels=3,
        size=8,
        shapes=None,
        error_model=None,
        matrices=lambda squares, rolls: crop_matrices(squares, 8, rolls),
    )
    one = predictor.Predictor(SimpleNamespace(metadata=metadata), Nothing(), False, SIDE**2)  # type: ignore[arg-type]
    return one.stream(paths)


def decode(paths: list[Path], make: Callable[[int], Image]) -> Iterable[object]:
    names, folder, every = [path.name for path in paths], paths[0].parent, np.ones(FILES, bool)
    return fkd.data.sources.decoding.decoded("set", folder, names, every, every, 3, folder / "cache")


def shard(paths: list[Path], make: Callable[[int], Image]) -> Iterable[object]:
    table = Annotations(
        schema=IBUG68,
        paths=np.array([path.name for path in paths]),
        images=np.arange(FILES),
        keypoints=np.zeros((FILES, 68, 2), np.float32),
        visible=np.ones((FILES, 68), bool),
        subjects=np.array([path.name for path in paths]),
        label_shift=np.zeros((FILES, 2), np.float32),
        image_hashes=np.zeros(FILES, np.uint64),
    )
    splits = {"train": np.arange(FILES), "val": np.zeros(0, np.int64), "test": np.zeros(0, np.int64)}
    output = paths[0].parent / "shards"
    output.mkdir()
    storage = fkd.data.shards.writer.Storage("png", 90, FILES, 0)
    fkd.data.shards.writer.write(Faces(table, splits, Shown(make), "set", ()), 3, output, storage)
    return ()


def crop(paths: list[Path], make: Callable[[int], Image]) -> Iterable[object]:
    matrices = crop_matrices(np.tile(np.float32([0, 0, 9, 9]), (FILES, 1)), 8)
    metadata = SimpleNamespace(channels=3, size=8)
    return labelled_faces.crops_of(Shown(make), np.arange(FILES), matrices, metadata)  # type: ignore[arg-type]


@pytest.mark.parametrize("work", [predict, decode, shard, crop])
def test_memory_is_bounded_by_pixels_whatever_the_number_of_images_and_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[..., Iterable[object]]
) -> None:
    """Decoded images that are alive at once: those in flight, one that is in use, and one that replaces it."""
    alive, most, read = 0, 0, images.read

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(image: Image) -> Image:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        weakref.finalize(image, gone)
        return image

    monkeypatch.setattr(images, "MAX_PIXELS", BOUND * SIDE**2)
    monkeypatch.setattr(predictor, "_PIXELS", SIDE**2)
    for module in (predictor, fkd.data.sources.decoding, fkd.data.shards.writer):
        monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(images, "read", lambda *args, **options: counted(read(*args, **options)))
    paths = [tmp_path / f"{i}.png" for i in range(FILES)]
    for path in paths:
        images.write(path, np.zeros((SIDE, SIDE, 3), np.uint8))
    for _ in work(paths, lambda index: counted(np.full((SIDE, SIDE, 3), index, np.uint8))):
        pass
    assert 0 < most <= BOUND + 2
