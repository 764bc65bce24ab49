"""Synthetic faces with exact keypoints: a dataset that needs no download."""

import hashlib
import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from fkd.data.cache import ImageCache
from fkd.data.face_data import Faces, remark_on_subjects
from fkd.data.image_hashes import text_hash
from fkd.data.split import by_subject, shares
from fkd.distributed import cores
from fkd.errors import UserError
from fkd.io import array_file
from fkd.schema import IBUG68
from fkd.synthetic.render import face
from fkd.types import Annotations, Image, Points

_CHUNK = 32  # faces that a process draws at a time
_PREFIX = "synthetic-"  # of all file names in the folder
_Shot = tuple[int, int, int, int, float]  # seed, subject, frame, size, large_poses: the arguments of `face`
_Drawn = tuple[Image, Points]


def synthetic_faces(
    root: str,
    subjects: int,
    frames: int,
    size: int,
    seed: int,
    val_share: float,
    test_share: float,
    channels: int,
    large_poses: float = 0.0,
) -> Faces:
    """Faces that are drawn once, in parallel, and kept in a folder.

    Args:
        root: the folder, made if missing.
        subjects: number of subjects; each is in one split only.
        frames: number of images of each subject.
        size: width and height of an image in pixels.
        seed: of the subjects, the images and the split.
        val_share, test_share: share of the images for validation and test.
        channels: 1 for grey images, 3 for RGB.
        large_poses: share of the images, 0 to 1, with the head turned by up to 90 degrees to a side.

    Raises:
        UserError: a number is out of range, or the folder cannot be written or has other files.
    """
    if not isinstance(root, str):
        raise UserError(f"data.root={root}: expected a folder")
    try:
        found = sorted(path.name for path in Path(root).iterdir()) if Path(root).is_dir() else []
    except OSError as error:
        raise UserError(f"data.root={root}: cannot be read ({error.strerror}); choose another folder") from error
    if others := [name for name in found if not name.startswith((_PREFIX, "."))]:
        raise UserError(
            f"data.root={root}: expected a folder for synthetic faces alone, found {others[0]} in it; to train on "
            f"files of your own say what they are: data=udacity data.root={root}, data=pts, ..."
        )
    for key, value, least in (("subjects", subjects, 3), ("frames", frames, 1), ("size", size, 96), ("seed", seed, 0)):
        if not isinstance(value, int) or value < least:
            raise UserError(f"data.{key}={value}: expected a whole number, {least} or more")
    if channels not in (1, 3):
        raise UserError(f"channels={channels}: expected 1 (grey) or 3 (RGB)")
    if isinstance(large_poses, bool) or not isinstance(large_poses, int | float) or not 0 <= large_poses <= 1:
        raise UserError(f"data.large_poses={large_poses}: expected a share from 0 to 1")
    shots = [(seed, subject, frame, size, float(large_poses)) for subject in range(subjects) for frame in range(frames)]
    ids = np.array([f"subject_{subject:04}" for _, subject, *_ in shots])
    splits = by_subject(ids, shares(val=val_share, test=test_share), seed)
    names = np.char.add(f"drawn_{seed}/", ids)  # subjects differ between seeds
    images, keypoints = _images_and_keypoints(Path(root), shots, channels)
    paths = [f"{name}/{frame:04}" for name, (_, _, frame, *_) in zip(names, shots, strict=True)]
    poses = f", {large_poses}" if large_poses else ""
    table = Annotations(
        schema=IBUG68,
        paths=np.array(paths),
        images=np.arange(len(shots), dtype=np.int64),
        keypoints=keypoints,
        visible=np.ones(keypoints.shape[:2], bool),
        subjects=names,
        label_shift=np.zeros((len(shots), 2), np.float32),
        image_hashes=np.array([text_hash(f"{path}, {size}{poses}") for path in paths], np.uint64),
    )
    remarks = (remark_on_subjects(table, splits), "synthetic faces: figures on them say little about photographs")
    return Faces(table, splits, images, "synthetic", remarks)


def _images_and_keypoints(root: Path, shots: list[_Shot], channels: int) -> tuple[ImageCache, Points]:
    """The images, and keypoints (N, 68, 2), which are kept in a file beside them."""
    key = f"{_PREFIX}{_digest(shots, channels)}"
    path = root / f"{key}{array_file.SUFFIX}"

    def drawn() -> Generator[Image]:
        return _save_keypoints(_draw(shots), path, channels)  # starts the processes before the bar's thread

    images = ImageCache.build(root, key, len(shots), drawn, "Drawing faces", "data.root")
    shape = (len(shots), len(IBUG68), 2)
    if (keypoints := array_file.read(path)) is None or keypoints.shape != shape:  # lost or damaged, the images are not
        for _ in drawn():
            pass
        keypoints = array_file.read(path)
    assert keypoints is not None
    return images, keypoints


def _save_keypoints(drawn: Iterable[_Drawn], path: Path, channels: int) -> Generator[Image]:
    """Passes the images on, grey or RGB, and writes the keypoints after the last."""
    keypoints = []
    for image, points in drawn:
        keypoints.append(points)
        yield cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if channels == 1 else image  # type: ignore[misc]
    array_file.write(path, np.stack(keypoints).astype(np.float32))


def _draw(shots: list[_Shot]) -> Iterator[_Drawn]:
    workers = min(cores(), len(shots) // (2 * _CHUNK))
    if workers < 2:
        return starmap(face, shots)
    # Forked processes need no imports; they use neither torch nor OpenCV's threads.
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=cv2.setNumThreads, initargs=(0,))
    drawn = pool.map(face, *zip(*shots, strict=True), chunksize=_CHUNK)
    pool.shutdown(wait=False)  # the processes end after the last face
    return drawn


def _digest(shots: list[_Shot], channels: int) -> str:
    """A hash of the settings and of the code that draws."""
    digest = hashlib.sha256(repr((len(shots), shots[-1], channels)).encode())
    for source in sorted({*Path(__file__).parent.glob("*.py")} - {Path(__file__)}):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]
