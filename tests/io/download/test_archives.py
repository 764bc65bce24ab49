"""Archives as they should be, and each kind of hostile, damaged and lying one."""

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.download.archives import unpacked

FILES = {
    "set-main/README.md": b"read me",
    "set-main/data/labels.csv": b",0,1\n" * 50,
    "set-main/data/empty.txt": b"",
    "set-main/data/training/Ä b.png": random.Random(0).randbytes(400_000),
}
Pack = Callable[[dict[str, bytes]], bytes]


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    return tar_of(*(member(name, content) for name, content in files.items()))


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def with_size(header: bytes, size: int) -> bytes:
    """A tar's header with another size, as a base-256 number, which may be negative."""
    changed = bytearray(header)
    changed[124:136] = (size & (256**12 - 1)).to_bytes(12, "big")
    changed[124] |= 0x80
    changed[148:156] = b"        "
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


PACKS: dict[str, Pack] = {
    "zip": zipped,
    "stored zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    "bzip2 zip": lambda files: zipped(files, zipfile.ZIP_BZIP2),
    "lzma zip": lambda files: zipped(files, zipfile.ZIP_LZMA),
    "tar": tarred,
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.bz2": lambda files: bz2.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files), preset=0),
}
COMPRESSED_TARS = ("tar.gz", "tar.bz2", "tar.xz")
EVERY = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
BOTH = pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def unpack(content: bytes, root: Path, folder: str | None = None, **limits: float) -> dict[str, bytes]:
    """Name of each file -> content."""
    archive = root.with_name("work") / "archive"
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(content)
    with unpacked(archive, root, folder, **{"max_bytes": 10**7, "max_files": 100, "max_ratio": 200, **limits}):
        assert not root.exists()
    assert [path.name for path in archive.parent.iterdir()] == ["archive"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refused(content: bytes, root: Path, *said: str, folder: str | None = None, **limits: float) -> None:
    """In one line, and nothing but the archive is left."""
    with pytest.raises(UserError) as caught:
        unpack(content, root, folder, **limits)
    assert all(part in str(caught.value) for part in said), caught.value
    assert "\n" not in str(caught.value)
    assert [path.relative_to(root.parent).as_posix() for path in root.parent.rglob("*")] == ["work", "work/archive"]


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails if the block takes 5 MB at any time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@EVERY
@pytest.mark.parametrize("folder", [None, "set-main/data", "set-main/data/"])
def test_files_come_out_as_they_went_in(pack: Pack, root: Path, folder: str | None) -> None:
    prefix = "" if folder is None else "set-main/data/"
    expected = {name.removeprefix(prefix): content for name, content in FILES.items() if name.startswith(prefix)}
    assert unpack(pack(FILES), root, folder) == expected


def test_members_that_are_folders_and_dots_in_names_do_no_harm(root: Path) -> None:
    folders = [member(name, type=tarfile.DIRTYPE, mode=0) for name in (".", "./a", "./a/b")]
    assert unpack(tar_of(*folders, member("./a/b/c", b"1")), root, "a") == {"b/c": b"1"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.mkdir("x")
        archive.mkdir("x/y")
        archive.writestr("x/y/z", b"2")
    assert unpack(file.getvalue(), root.with_name("other"), "x") == {"y/z": b"2"}


OUTSIDE = (
    *("../out", "a/../../out", "a/..", "/tmp/out", "//host/share/out", "C:\\out", "C:out", "a/C:/out", "\\out"),
    *("..\\out", "a\\..\\..\\out", "a\\b", "new\nline", "\x1b[2J", "right\u202eleft"),
)


@BOTH
@pytest.mark.parametrize("name", OUTSIDE, ids=ascii)
def test_no_name_leads_out(pack: Pack, root: Path, name: str) -> None:
    refused(pack({"fine": b"1", name: b"2"}), root, ascii(name), "below one folder")


@BOTH
def test_nor_does_one_outside_of_the_folder_that_is_wanted(pack: Pack, root: Path) -> None:
    refused(pack({"data/fine": b"1", "../out": b"2"}), root, "'../out'", folder="data")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../out", "fine"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_tars_are_refused(root: Path, target: str, kind: bytes) -> None:
    """Also those that stay below the folder: tarfile's own check of them has been wrong more than once."""
    link = member("link", type=kind, linkname=target)
    refused(tar_of(member("fine", b"1"), link, member("link/x", b"2")), root, "a link", "'link'")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_in_tars_are_refused(root: Path, kind: bytes) -> None:
    refused(tar_of(member("fine", b"1"), member("odd", type=kind)), root, "a device", "'odd'")


def test_sparse_files_in_tars_are_refused(root: Path) -> None:
    sparse = member("a", pax_headers={"GNU.sparse.size": "9999999999", "GNU.sparse.map": "0,0"})
    refused(tar_of(sparse), root, "a sparse file", "'a'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_zips_are_refused(root: Path, kind: int) -> None:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (kind | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(file.getvalue(), root, "a link, a device", "'odd'")


def test_files_get_no_dangerous_rights_and_no_owner(root: Path) -> None:
    unpack(tar_of(member("a", b"1", mode=0o6777, uid=12345, gid=12345)), root)
    found = (root / "a").stat()
    assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH)
    assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")])
@BOTH
def test_a_name_is_not_both_a_file_and_a_folder(root: Path, pack: Pack, names: tuple[str, str]) -> None:
    refused(pack(dict.fromkeys(names, b"1")), root, "cannot be made")


@EVERY
def test_what_is_too_much_is_refused(pack: Pack, root: Path) -> None:
    refused(pack(FILES), root, "at most 400.0 kB", "max_unpacked", max_bytes=400_000)
    refused(pack(FILES), root, "at most 3 files", "max_files", max_files=3)


@pytest.mark.parametrize("kind", ["zip", *COMPRESSED_TARS])
def test_bombs_are_refused_soon(root: Path, kind: str) -> None:
    content = PACKS[kind]({"zeros": bytes(20_000_000)})
    began = time.process_time()
    refused(content, root, "unpacked, found more", "max_ratio", max_bytes=10**12)
    assert time.process_time() - began < 0.5


def test_bombs_of_overlapping_entries_are_refused(root: Path) -> None:
    """Entries that share one piece of the archive: small of itself, large when unpacked (Fifield, WOOT 2019)."""
    content = zipped({"a": bytes(100_000)})
    place = content.index(b"PK\1\2")
    entry, end = content[place : content.index(b"PK\5\6")], content[content.index(b"PK\5\6") :]
    names = [bytes([letter]) for letter in range(ord("a"), ord("z") + 1)]
    directory = b"".join(entry[:-1] + name for name in names)
    local = content[:place]
    end = end[:8] + struct.pack("<HHII", len(names), len(names), len(directory), len(local)) + end[20:]
    with pytest.raises(UserError, match=r"max_ratio|damaged"):
        unpack(local + directory + end, root, max_bytes=10**9, max_ratio=20)
    assert not root.exists()


def test_a_zip_is_not_believed_what_it_says_of_sizes(root: Path) -> None:
    """Sizes in the directory are changed, both ways; the bytes stay."""
    content = zipped({"a": bytes(100_000)})
    place = content.index(b"PK\1\2") + 24
    less, more = (content[:place] + struct.pack("<I", size) + content[place + 4 :] for size in (5, 200_000))
    refused(less, root, "damaged", "'a'", max_ratio=10**4)
    assert unpack(more, root, max_ratio=10**4) == {"a": bytes(100_000)}


def test_a_wrong_byte_is_noticed(root: Path) -> None:
    stored = bytearray(zipped(FILES, zipfile.ZIP_STORED))
    stored[200_000] ^= 1
    refused(bytes(stored), root, "damaged", "training/Ä b.png", "CRC")
    for kind in COMPRESSED_TARS:
        content = bytearray(PACKS[kind](FILES))
        content[200_000] ^= 1
        refused(bytes(content), root, "damaged")
        content = bytearray(PACKS[kind]({"a": b"1"}))
        content[-8 if kind == "tar.gz" else -12] ^= 1  # of the checksum at the end
        refused(bytes(content), root, "damaged")
    tar = bytearray(tarred(FILES))
    tar[tar.index(b"set-main/data/empty.txt")] ^= 1  # a header in the middle: its sum is wrong
    refused(bytes(tar), root, "damaged", "the next header")


@EVERY
def test_a_cut_archive_is_noticed(pack: Pack, root: Path) -> None:
    content = pack(FILES)
    for length in (len(content) * 3 // 4, 1500, 700, len(content) - 15000):
        refused(content[:length], root, "damaged", max_ratio=10**5)


def test_a_tar_that_goes_on_after_its_end_is_refused(root: Path) -> None:
    """However much that is when unpacked."""
    content = tarred({"a": b"1"})
    for padding in (0, 10_000, 500_000):
        assert unpack(gzip.compress(content + bytes(padding)), root.with_name(str(padding))) == {"a": b"1"}
    content = gzip.compress(content) + gzip.compress(bytes(50_000_000), 1)
    with little_memory(), pytest.raises(UserError, match="more data after the end"):
        unpack(content, root)


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>not found</html>" * 40, b"\x1f\x8b", b"BZh", b"PK\3\4x"])
def test_what_is_no_archive_is_refused(root: Path, content: bytes) -> None:
    refused(content, root, "work/archive: expected a whole zip or tar", "data.download.url")


def test_encrypted_zips_are_refused(root: Path) -> None:
    content = bytearray(zipped({"secret": b"1"}))
    content[content.index(b"PK\1\2") + 8] |= 1
    refused(bytes(content), root, "'secret'", "encrypted")


@pytest.mark.parametrize("size", [-1024, -(2**40), 2**40, 50_000_000])
def test_huge_headers_in_tars_are_refused_before_memory_is_spent(root: Path, size: int) -> None:
    """Long comments are read in one piece, and of a negative size all that follows."""
    tar = tar_of(member("a", pax_headers={"comment": "x" * 2000}))
    content = gzip.compress(with_size(tar[:512], size) + bytes(50_000_000))
    with little_memory():
        refused(content, root, "damaged", "a header of", max_bytes=10**9, max_ratio=10**4)


def test_many_large_headers_do_not_fill_the_memory(root: Path) -> None:
    content = gzip.compress(tar_of(*(member(str(i), pax_headers={"comment": "x" * 500_000}) for i in range(20))))
    with little_memory():
        assert len(unpack(content, root, max_bytes=10**9, max_ratio=10**4)) == 20


@pytest.mark.parametrize("size", [-512, -1024, -(2**40)])
def test_a_tar_cannot_lead_round_in_circles(root: Path, size: int) -> None:
    content = tarred({"a": b"1", "b": b"2"})
    refused(with_size(content[:512], size) + content[512:], root, "damaged")
    content = tar_of(member("a", b"1", pax_headers={"size": str(size)}), member("b", b"2"))
    refused(content, root, "damaged")


def test_a_folder_that_is_not_there_is_said_with_those_that_are(root: Path) -> None:
    for kind in ("zip", "tar"):
        refused(PACKS[kind](FILES), root, "folder data", "set-main/data", "data.download.folder", folder="data")
    for nothing in (zipped({}), tarred({})):
        refused(nothing, root, "found none")


def test_a_folder_outside_of_the_archive_is_not_moved(root: Path) -> None:
    mine = root.parent.parent / f"{root.parent.name}-mine"
    mine.mkdir()
    (mine / "file").touch()
    for folder in (str(mine), f"../../../{mine.name}"):
        refused(zipped(FILES), root, folder, "data.download.folder", folder=folder)
        assert (mine / "file").exists()


@pytest.mark.parametrize("kind", ["zip", *COMPRESSED_TARS])
def test_a_full_disk_is_no_damage(root: Path, kind: str, small_disk: Callable[[int], None]) -> None:
    content = PACKS[kind]({f"{name}.png": bytes(200_000) for name in "ab"})
    small_disk(150_000)  # the archive itself is smaller
    refused(content, root, f"{root}: cannot be made (File too large); make room", max_ratio=10**5)


def test_a_folder_is_whole_or_not_there(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "work/archive"
    (tmp_path / "work/unpacked").mkdir(parents=True)
    (tmp_path / "work/unpacked/half").touch()  # of a process that was killed
    archive.write_bytes(zipped({"a": b"1"}))
    limits = {"max_bytes": 100, "max_files": 9, "max_ratio": 9}
    with pytest.raises(KeyboardInterrupt), unpacked(archive, root, None, **limits) as folder:  # noqa: PT012
        assert [path.name for path in folder.iterdir()] == ["a"]
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["work", "archive"]
    root.mkdir()
    with unpacked(archive, root, None, **limits) as folder:  # an empty one may be there
        (folder / "b").touch()
    assert {path.name for path in root.iterdir()} == {"a", "b"}
    with pytest.raises(UserError, match=r"not empty.*another data.root"), unpacked(archive, root, None, **limits):
        pass
    assert {path.name for path in root.iterdir()} == {"a", "b"}
    assert {path.name for path in tmp_path.iterdir()} == {"set", "work"}
