"""Hashes by which images are known under any name."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fkd.data.contents import file_hash, kept_hashes, pixel_hash, text_hash


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


class TestKept:
    HASHES = np.array([3, 2**64 - 1, 0], np.uint64)

    def made(self) -> np.ndarray:
        self.count = getattr(self, "count", 0) + 1
        return self.HASHES

    def test_they_are_made_once(self, tmp_path: Path) -> None:
        for _ in range(3):
            np.testing.assert_array_equal(kept_hashes(tmp_path / "a.npy", 3, self.made), self.HASHES)
        assert self.count == 1

    @pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"x", lambda content: content[:-9]])
    @pytest.mark.parametrize("hashes", [HASHES, HASHES[:2], HASHES.astype(np.int64)])
    def test_another_file_is_made_anew(self, tmp_path: Path, damage, hashes: np.ndarray) -> None:
        path = tmp_path / "a.npy"
        np.save(path, hashes)
        if hashes is self.HASHES:
            path.write_bytes(damage(path.read_bytes()))
        for _ in range(2):
            np.testing.assert_array_equal(kept_hashes(path, 3, self.made), self.HASHES)
        assert self.count == 1

    def test_a_place_that_cannot_be_written_is_done_without(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(kept_hashes(tmp_path / "none" / "a.npy", 3, self.made), self.HASHES)
