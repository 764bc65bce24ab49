"""The data source that reads shards."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fkd.data.face_data import Faces
from fkd.data.shards.index import read
from fkd.data.shards.reader import ShardImages
from fkd.errors import UserError, of_the_user
from fkd.schema import schema_of


def shards(root: str, schema: str | Mapping[str, Any], channels: int, buffer: int) -> Faces:
    """The faces that `fkd shard` wrote, with their splits.

    Args:
        root: folder of the shards.
        schema: of the points; a name or plain data.
        channels: 1 for grey images, 3 for RGB.
        buffer: about how far images move in the order of an epoch, see `ShardImages.order`.

    Raises:
        UserError: an argument or the folder is wrong, or the folder has points of another schema or only grey images.
    """
    if not isinstance(root, str):
        raise UserError(f"data.root={root}: expected a folder of shards")
    if not isinstance(buffer, int) or isinstance(buffer, bool) or buffer < 0:
        raise UserError(f"data.buffer={buffer}: expected a whole number from 0 on")
    if channels not in (1, 3):
        raise UserError(f"channels={channels}: expected 1 (grey) or 3 (RGB)")
    with of_the_user():
        expected = schema_of(schema)
    index = read(Path(root))
    if index.table.schema != expected:
        raise UserError(
            f"data.root={root}: expected points of schema={expected.name}, found those of {index.table.schema.name}; "
            "choose that schema or other shards"
        )
    if channels > index.channels:
        raise UserError(
            f"channels={channels}: expected 1, since data.root={root} holds grey images; write shards with channels=3"
        )
    images = ShardImages(Path(root), index, channels, buffer)
    held = f"{len(images):,} images of data={index.source} in {len(index.shards):,} shards, as {index.encoding}"
    return Faces(index.table, index.splits, images, "shards", (*index.remarks, held))
