"""Hashes by which images are known under any name."""

import hashlib
from pathlib import Path

import numpy as np

from fkd.data.image_hashes import file_hash, pixel_hash, text_hash


def of_bytes(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    contents = [b"", b"one", b"other", bytes(10**6)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").write_bytes(content)
    hashes = [file_hash(tmp_path / f"{number}") for number in range(len(contents))]
    assert hashes == [of_bytes(content) for content in contents]
    assert file_hash(tmp_path / "none") == file_hash(tmp_path) == 0


def test_an_image_without_a_file_is_known_by_its_grey_values() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    other = grey.copy()
    other[4, 6] ^= 1
    assert pixel_hash(grey) == pixel_hash(np.stack([grey] * 3, axis=2))
    assert len({pixel_hash(grey), pixel_hash(other), pixel_hash(grey.reshape(7, 5)), pixel_hash(grey[:0]), 0}) == 4
    assert pixel_hash(np.zeros((0, 0, 3), np.uint8)) == 0
    assert text_hash("face 1") == of_bytes(b"face 1")
