"""Images of shards by number, and the order in which an epoch reads them."""

import mmap
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from fkd.data.shards.encodings import decode
from fkd.data.shards.index import HEADER, Index
from fkd.data.split import Rows
from fkd.errors import UserError
from fkd.io.images import in_channels
from fkd.types import Image

_OPEN = 128  # shards that a process keeps open; each takes a file descriptor, and some systems allow only 256
_BLOCK = 256  # faces of a shard that are mixed with each other: some megabytes, which systems read ahead and keep


class ShardImages:
    """Read-only images in memory-mapped shards.

    When a process reads an image for the first time, its checksum and size are compared with the index.

    Args:
        folder: of the shards.
        index: of the shards.
        channels: 1 for grey images, 3 for RGB.
        buffer: about how far images move in the order of an epoch, see `order`.
    """

    def __init__(self, folder: Path, index: Index, channels: int, buffer: int) -> None:
        self.digest, self.buffer = index.digest, buffer
        self._paths, self._sizes = [folder.absolute() / s.name for s in index.shards], [s.bytes for s in index.shards]
        self._places, self._channels = index.places, channels
        self._is_checked = np.zeros(len(index.places), bool)

    @property
    def key(self) -> str:
        """The hash of the index, which has the checksum of each image."""
        return self.digest

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Image:
        shard, start, size, checksum = self._places[index].tolist()
        path, content = self._paths[shard], _mapped(self._paths[shard], self._sizes[shard])
        try:
            if not self._is_checked[index]:
                _check(content[start - HEADER : start + size], checksum)
                self._is_checked[index] = True
            return in_channels(decode(content[start : start + size]), self._channels)
        except ValueError as error:
            raise UserError(
                f"{path}: image {index}, at byte {start:,}: expected what its index says, found {error}; copy the "
                "shard again or write it anew with scripts/shard.py"
            ) from error

    def order(self, images: Rows, rng: np.random.Generator, world: int) -> Rows:
        """A new order of the faces for an epoch: shards at random, each read nearly from start to end.

        If the buffer holds all faces, the order is a random permutation. Otherwise shards follow each other in a random
        order, and faces move up to `buffer` places, so that a batch comes from several shards. Within one shard faces
        move only up to `_BLOCK` places, so that its images are read nearly in the order of the file (writing has mixed
        them). Rank r gets every `world`-th face from r on, which is one piece of the order: few shards are read by two
        processes.

        Args:
            images: (R,) the image of each face.
            rng: gives the order.
            world: world size.

        Returns:
            (R,) permutation of the faces; those that do not fill a round of all processes come last.
        """
        count = len(images)
        if count <= self.buffer:
            return rng.permutation(count)
        turn = rng.permutation(len(self._paths))[self._places[images, 0]]
        in_line = np.lexsort((self._places[images, 1], turn))
        in_line = in_line[np.lexsort((np.arange(count) + rng.uniform(0, _BLOCK, count), turn[in_line]))]
        moved = np.arange(count) + rng.uniform(0, self.buffer, count)
        mixed = turn[in_line][np.argsort(moved, kind="stable")]
        order = np.empty_like(in_line)
        order[np.argsort(mixed, kind="stable")] = in_line  # each shard keeps its order
        whole = len(order) // world * world
        order[:whole] = order[:whole].reshape(world, -1).T.ravel()
        return order


@lru_cache(_OPEN)
def _mapped(path: Path, size: int) -> Image:
    try:
        with path.open("rb") as file:
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except (OSError, ValueError) as error:  # ValueError: empty
        raise UserError(f"{path}: the shard is gone or cannot be read ({error}); copy it again") from error
    if len(content) != size:
        raise UserError(f"{path}: expected a shard of {size:,} bytes, found {len(content):,}; copy it again")
    return content


def _check(member: Image, checksum: int) -> None:
    """Raises ValueError if a member of a tar file, with its header, has another size or checksum."""
    size = member[124:135].tobytes()  # in octal digits
    if size != b"%011o" % (len(member) - HEADER):
        raise ValueError(f"a file of another size (octal {size!r})")
    if zlib.crc32(member.data) != checksum:
        raise ValueError("another checksum")
