"""Writes a dataset into shards."""

import hashlib
import io
import json
import math
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fkd.data.cache import Keyed
from fkd.data.face_data import SPLITS, Faces
from fkd.data.shards.encodings import ENCODINGS, encode
from fkd.data.shards.index import HEADER, NAME, Index, Places, Shard
from fkd.data.shards.index import write as write_index
from fkd.data.split import Rows
from fkd.distributed import cores
from fkd.errors import UserError
from fkd.io.atomic import locked, whole_file
from fkd.io.images import read_ahead
from fkd.terminal import progress
from fkd.types import Annotations, Image

_SETTINGS = ".settings.json"
_LOCK = ".lock"


@dataclass(frozen=True)
class Storage:
    """The settings of shards.

    Attributes:
        encoding: of images: "raw", "png" or "jpeg".
        quality: of JPEG, from 1 to 100.
        size: images in a shard.
        seed: of the order of images in the shards.
    """

    encoding: str
    quality: int
    size: int
    seed: int

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise UserError(f"encoding={self.encoding}: expected one of {', '.join(ENCODINGS)}")
        if not 1 <= self.quality <= 100:
            raise UserError(f"quality={self.quality}: expected a whole number from 1 to 100")


def write(faces: Faces, channels: int, folder: Path, storage: Storage) -> Index:
    """Writes shards of whole images, each image once; the same call resumes after an interruption.

    Whole images, because other crops, a detector and the notebooks' frames need the surroundings of a face. An image is
    in a shard of the first split that has one of its faces; images without faces are left out.

    Args:
        faces: the dataset.
        channels: of its images.
        folder: of the shards; empty, or with the files of the same call that was interrupted.
        storage: the settings.

    Raises:
        UserError: the folder has other files, or cannot be written.
    """
    used, images = np.unique(faces.table.images, return_inverse=True)
    table = replace(faces.table, images=images.astype(np.int64))
    settings = {
        **vars(storage),
        "channels": channels,
        "source": faces.name,
        "faces": faces.fingerprints(),
        "images": faces.images.key if isinstance(faces.images, Keyed) else None,
    }
    try:
        with locked(folder / _LOCK, wait=True):
            _check_settings(folder, settings)
            shards, places = _write_shards(folder, _Content(faces, table, used, storage))
            index = Index(faces.name, faces.remarks, channels, storage.encoding, shards, places, table, faces.splits)
            write_index(folder, index)
            (folder / _LOCK).unlink(missing_ok=True)
            (folder / _SETTINGS).unlink(missing_ok=True)  # last, so that a call that is killed can be repeated
    except OSError as error:
        raise UserError(
            f"output={folder}: cannot write shards ({error.strerror}); make room and give the same command to "
            "resume, or give another folder"
        ) from error
    return index


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes the settings, or compares them with those of the interrupted call."""
    path, text = folder / _SETTINGS, json.dumps(settings, indent=1)
    if (folder / NAME).exists() and not path.exists():
        (folder / _LOCK).unlink(missing_ok=True)
        raise UserError(f"output={folder}: expected an empty folder, found shards ({NAME}); give another or remove it")
    if path.exists():
        if (before := path.read_text()) != text:
            then = json.loads(before)
            key = next((key for key, value in settings.items() if then.get(key) != value), "settings")
            raise UserError(
                f"output={folder}: expected to resume with {key}={then.get(key)}, found {settings.get(key)}; give the "
                "same command, another folder, or remove this one"
            )
        return
    if others := sorted(path.name for path in folder.iterdir() if path.name != _LOCK):
        raise UserError(f"output={folder}: expected an empty folder, found {others[0]}; give another")
    with whole_file(path) as file:
        file.write(text.encode())


class _Content:
    """The content of the shards."""

    def __init__(self, faces: Faces, table: Annotations, used: Rows, storage: Storage) -> None:
        self._table, self._storage, self._images, self._used = table, storage, faces.images, used
        self._split = np.full(len(table), len(SPLITS))
        for number, name in reversed([*enumerate(SPLITS)]):
            self._split[faces.splits[name]] = number
        self._by_image = np.argsort(table.images, kind="stable")
        self._starts = np.searchsorted(table.images[self._by_image], np.arange(len(used) + 1))

    def __len__(self) -> int:
        return len(self._used)

    def shards(self) -> Iterator[tuple[str, Rows]]:
        """Name and images of each shard."""
        first = np.full(len(self), len(SPLITS))
        np.minimum.at(first, self._table.images, self._split)
        for number, name in enumerate((*SPLITS, "other")):
            rng = np.random.default_rng((self._storage.seed, number))
            mixed, size = rng.permutation(np.flatnonzero(first == number)), self._storage.size
            for shard, start in enumerate(range(0, len(mixed), size)):
                yield f"{name}-{shard:05}.tar", mixed[start : start + size]

    def images(self, numbers: Rows) -> Iterator[tuple[int, Image]]:
        """The images of these numbers with their pixels."""
        return ((image, self._images[int(self._used[image])]) for image in numbers.tolist())

    def files(self, numbered: tuple[int, Image]) -> dict[str, bytes]:
        """Name -> content of the two files of an image."""
        image, pixels = numbered
        suffix, data = encode(pixels, self._storage.encoding, self._storage.quality)
        rows = self._by_image[self._starts[image] : self._starts[image + 1]]
        table, splits = self._table.take(rows), (*SPLITS, None)
        columns = {
            "row": rows.tolist(),
            "split": [splits[number] for number in self._split[rows]],
            "subject": table.subjects.tolist(),
            "keypoints": table.keypoints.tolist(),
            "visible": table.visible.tolist(),
            "label_shift": table.label_shift.tolist(),
        }
        faces = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        description = {"path": str(table.paths[0]), "schema": table.schema.name, "faces": faces}
        return {f"{image:09}.{suffix}": data, f"{image:09}.json": json.dumps(description).encode()}


def _write_shards(folder: Path, content: _Content) -> tuple[tuple[Shard, ...], Places]:
    """All shards, and the place of each image; a shard that exists already is only read."""
    shards: list[Shard] = []
    places = np.zeros((len(content), 4), np.int64)
    with progress("Writing shards", len(content)) as advance:
        for number, (name, images) in enumerate(content.shards()):
            path = folder / name
            if not path.exists():
                with whole_file(path) as file:
                    _write_shard(file, content, images, advance)
            places[images, 0], places[images, 1:] = number, _places(path, images)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            shards.append(Shard(name, path.stat().st_size, sha256))
    return tuple(shards), places


def _write_shard(file: BinaryIO, content: _Content, images: Rows, advance: Callable[[], None]) -> None:
    """Writes the same bytes for the same images: no times, no owners."""
    encoded = read_ahead(
        content.files, content.images(images), lambda each: math.prod(each[1].shape[:2]), min(cores(), 16)
    )
    with closing(encoded), tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for files in encoded:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            advance()
    file.flush()
    os.fsync(file.fileno())


def _places(path: Path, images: Rows) -> Places:
    """(P, 3) first byte, number of bytes and checksum of each image of a shard, which must hold these images."""
    rows = []
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in [member for member in tar.getmembers() if not member.name.endswith(".json")]:
                file.seek(member.offset_data - HEADER)
                checksum = zlib.crc32(file.read(HEADER + member.size))
                rows.append((int(member.name.partition(".")[0]), member.offset_data, member.size, checksum))
    except (tarfile.TarError, ValueError):
        rows = []
    found = np.array(rows, np.int64).reshape(-1, 4)
    if not np.array_equal(found[:, 0], images):
        raise UserError(
            f"{path}: expected a shard with {len(images):,} images of this set, found another file or a part of "
            "one; remove it, and the same command writes it anew"
        )
    return found[:, 1:]
