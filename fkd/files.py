"""Files that appear whole or not at all."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for writing, that takes its name when the block ends, or leaves nothing if the block fails."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # the same folder: renaming cannot copy
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
