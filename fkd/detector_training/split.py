"""Which photos a detector never learns from."""

import re
import zlib


def is_held_out(name: str) -> bool:
    """Whether a photo is kept for validation: one in five, by its name.

    AFW and HELEN keep copies of a photo for each of its faces, `134212_1.jpg` and `134212_2.jpg`, which are one photo.

    Args:
        name: path relative to the folder of its set, with `/`.
    """
    photo = re.sub(r"((?<=\d)_\d)?\.\w+$", "", name)
    return zlib.crc32(photo.encode("utf-8", "surrogatepass")) % 5 == 0
