"""What a folder of shards holds: `index.json` and the columns of its table beside it."""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import SPLITS
from fkd.data.split import Rows
from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.schema import KeypointSchema
from fkd.types import Annotations

FORMAT = "fkd shards, version 1"
NAME = "index.json"
HEADER = 512
"""Bytes before each file of a tar archive that say its name and its size (POSIX.1-1988, ustar)."""
_TABLE = "table"
_PIECE = 1 << 20  # bytes
_SHARD = re.compile(r"\w[\w-]*\.tar", re.ASCII)
_HASHES = "image_hashes"  # which shards written before do not have
_COLUMNS = {field.name for field in fields(Annotations)} - {"schema"}
_AGAIN = "copy the folder again or write it anew with scripts/shard.py"

Places = npt.NDArray[np.int64]
"""(P, 4) for each image: its shard; first byte and number of bytes there; CRC-32 of its header and bytes."""


@dataclass(frozen=True)
class Shard:
    """A tar file: its name in the folder, its bytes and their SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """A folder of shards.

    Attributes:
        source: name of the data set that was written.
        remarks: what is to be said of it.
        channels: of the images, 1 or 3.
        encoding: of the images.
        shards: the tar files.
        places: where each of the P images lies.
        table: the N faces, in the order of the source.
        splits: "train", "val" and "test" -> their rows of the table.
        digest: stands for all of it, the order of images included.
    """

    source: str
    remarks: tuple[str, ...]
    channels: int
    encoding: str
    shards: tuple[Shard, ...]
    places: Places
    table: Annotations
    splits: Mapping[str, Rows]
    digest: str = ""


def write(folder: Path, index: Index) -> None:
    """Columns first, index.json last: only a whole folder has one."""
    (folder / _TABLE).mkdir(exist_ok=True)
    arrays = {name: getattr(index.table, name) for name in _COLUMNS} | {**index.splits, "places": index.places}
    files = {}
    for name, array in sorted(arrays.items()):
        path = folder / _TABLE / f"{name}.npy"
        with whole_file(path) as file:
            np.save(file, array, allow_pickle=False)
        files[name] = _checksum(path)
    content = {
        "format": FORMAT,
        "source": index.source,
        "remarks": index.remarks,
        "channels": index.channels,
        "encoding": index.encoding,
        "faces": len(index.table),
        "images": len(index.places),
        "splits": {name: len(rows) for name, rows in index.splits.items()},
        "schema": index.table.schema.to_dict(),
        "table": files,
        "shards": [asdict(shard) for shard in index.shards],
    }
    with whole_file(folder / NAME) as file:
        file.write(json.dumps(content, indent=1).encode())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path) -> Index:
    """The index of a folder, checked; of the shards it is looked at whether they are there and as long as they were.

    Raises:
        UserError: what is missing, cut off, changed or does not fit.
    """
    path = folder / NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"data.root={folder}: expected a folder with {NAME} ({error.strerror}); write one with scripts/shard.py"
        ) from error
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise UserError(f"{path}: expected {FORMAT!r}, found {content['format']!r}; write the shards anew")
        schema = KeypointSchema.from_dict(content["schema"])
        columns = {*_COLUMNS} if _HASHES in content["table"] else _COLUMNS - {_HASHES}
        arrays = {name: _column(folder, name, content["table"][name]) for name in (*columns, *SPLITS, "places")}
        table = Annotations(schema=schema, **{name: arrays[name] for name in columns})
        index = Index(
            source=str(content["source"]),
            remarks=tuple(map(str, content["remarks"])),
            channels=content["channels"],
            encoding=str(content["encoding"]),
            shards=tuple(_shard(folder, shard) for shard in content["shards"]),
            places=arrays["places"],
            table=table,
            splits={name: arrays[name] for name in SPLITS},
            digest=hashlib.sha256(text).hexdigest()[:16],
        )
        _check(index, content)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError, EOFError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"{path}: expected an index of shards, found another file ({reason}); {_AGAIN}") from error
    return index


def _checksum(path: Path) -> int:
    """CRC-32 of a file: a million rows are a gigabyte, which is read before anything else can begin."""
    with path.open("rb") as file:
        checksum = 0
        while piece := file.read(_PIECE):
            checksum = zlib.crc32(piece, checksum)
    return checksum


def _column(folder: Path, name: str, expected: int) -> npt.NDArray[Any]:
    """A column, memory-mapped: what is not used stays on disk, and processes that load share the rest."""
    path = folder / _TABLE / f"{name}.npy"
    try:
        if _checksum(path) != expected:
            raise UserError(f"{path}: expected the column that {NAME} names, found another or a part of it; {_AGAIN}")
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        raise UserError(f"{path}: expected a column of the table, found none ({error.strerror}); {_AGAIN}") from error


def _shard(folder: Path, content: Mapping[str, Any]) -> Shard:
    shard = Shard(str(content["name"]), int(content["bytes"]), str(content["sha256"]))
    if not _SHARD.fullmatch(shard.name):
        raise UserError(f"{folder / NAME}: expected shards in its own folder, found {shard.name!r}; {_AGAIN}")
    path = folder / shard.name
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: expected a shard, found none ({error.strerror}); {_AGAIN}") from error
    if size != shard.bytes:
        raise UserError(f"{path}: expected {shard.bytes:,} bytes, found {size:,}; {_AGAIN}")
    return shard


def _check(index: Index, content: Mapping[str, Any]) -> None:
    """Raises ValueError where the parts of an index do not fit each other, ranges of numbers included."""
    table, places = index.table, index.places
    kinds = {"paths": "U", "images": "i8", "keypoints": "f4", "visible": "?", "subjects": "U", "label_shift": "f4"}
    kinds[_HASHES] = "u8"
    columns = {name: (getattr(table, name), kind) for name, kind in kinds.items()}
    columns |= {name: (rows, "i8") for name, rows in (*index.splits.items(), ("places", places))}
    for name, (column, kind) in columns.items():
        if column.dtype.kind != "U" if kind == "U" else column.dtype != np.dtype(kind):
            raise ValueError(f"{name}: expected {kind}, found {column.dtype}")
    found = {
        "faces": len(table),
        "images": len(places),
        "splits": {name: len(rows) for name, rows in index.splits.items()},
    }
    for name, number in found.items():
        if content[name] != number:
            raise ValueError(f"{name}: expected {content[name]}, found {number}")
    if index.channels not in (1, 3) or places.shape[1:] != (4,):
        raise ValueError(f"expected 1 or 3 channels and (P, 4) places, found {index.channels} and {places.shape}")
    _within("images", table.images, len(places))
    for name, rows in index.splits.items():
        _within(name, rows, len(table))
    shards, starts, sizes = places[:, 0], places[:, 1], places[:, 2]
    _within("places", shards, len(index.shards))
    ends = np.array([shard.bytes for shard in index.shards], np.int64)[shards] if len(places) else sizes
    if (wrong := np.flatnonzero((starts < HEADER) | (sizes < 1) | (sizes > ends - starts))).size:
        shard = index.shards[shards[wrong[0]]]
        raise ValueError(f"image {wrong[0]} lies outside of {shard.name}")


def _within(name: str, numbers: npt.NDArray[np.int64], end: int) -> None:
    if numbers.ndim != 1 or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < end):
        raise ValueError(f"{name}: expected numbers from 0 to {end - 1}, found others")
