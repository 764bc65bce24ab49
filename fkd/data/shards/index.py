"""The index of a folder of shards: `index.json`, and the columns of its table as .npy files."""

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
HEADER = 512  # bytes before each file of a tar archive, with its name and size (POSIX.1-1988, ustar)
_TABLE = "table"
_PIECE = 1 << 20  # bytes
_SHARD = re.compile(r"\w[\w-]*\.tar", re.ASCII)
_HASHES = "image_hashes"  # a column that older shards lack
_COLUMNS = {field.name for field in fields(Annotations)} - {"schema"}
_AGAIN = "copy the folder again or write it anew with scripts/shard.py"

Places = npt.NDArray[np.int64]
"""(P, 4) for each image: shard, first byte in it, number of bytes, CRC-32 of tar header and bytes."""


@dataclass(frozen=True)
class Shard:
    """A tar file: name in the folder, number of bytes, SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """A folder of shards.

    Attributes:
        source: name of the dataset that was written.
        remarks: of that dataset, see `Faces`.
        channels: of the images, 1 or 3.
        encoding: of the images.
        shards: the tar files.
        places: the places of the P images.
        table: the N faces, in the order of the source.
        splits: "train", "val" and "test" -> their rows of the table.
        digest: hash of the index file, which includes the checksums of all others.
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
    """Writes the columns, then index.json, so that only a complete folder has one."""
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


def read(folder: Path) -> Index:
    """The index of a folder, checked; of the shards only existence and size are checked.

    Raises:
        UserError: a file is missing, cut off or changed, or the parts do not fit each other.
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
    """CRC-32 of a file, which is fast: a million rows are a gigabyte, read at every start."""
    with path.open("rb") as file:
        checksum = 0
        while piece := file.read(_PIECE):
            checksum = zlib.crc32(piece, checksum)
    return checksum


def _column(folder: Path, name: str, expected: int) -> npt.NDArray[Any]:
    """A column, memory-mapped, so that loading processes share it."""
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
    """Raises ValueError if the parts of an index do not fit each other."""
    table, places = index.table, index.places
    kinds = {"paths": "U", "images": "i8", "keypoints": "f4", "visible": "?", "subjects": "U", "label_shift": "f4"}
    kinds |= {_HASHES: "u8", "places": "i8", **dict.fromkeys(SPLITS, "i8")}
    columns = {**vars(table), **index.splits, "places": places}
    for name, kind in kinds.items():
        column = columns[name]
        if column.dtype.kind != "U" if kind == "U" else column.dtype != np.dtype(kind):
            raise ValueError(f"{name}: expected {kind}, found {column.dtype}")
    sizes_of_splits = {name: len(rows) for name, rows in index.splits.items()}
    for name, found in {"faces": len(table), "images": len(places), "splits": sizes_of_splits}.items():
        if content[name] != found:
            raise ValueError(f"{name}: expected {content[name]}, found {found}")
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
