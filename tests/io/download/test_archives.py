"""Archives as they should be, and each kind of hostile, damaged and lying one."""

import gzip
import hashlib
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
from collections.abc import Callable
from pathlib import Path

import pytest

from fkd.errors import UserError
from fkd.io.download import entries
from fkd.io.download.archives import unpack, whole_folder
from fkd.io.download.entries import Bounds

FILES = {
    "set-main/README.md": b"read me",
    "set-main/data/labels.csv": b",0,1\n" * 50,
    "set-main/data/empty.txt": b"",
    "set-main/data/training/Ä b.png": random.Random(0).randbytes(400_000),
}
BOUNDS = Bounds(bytes=10**7, files=100, ratio=200)
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


PACKS: dict[str, Pack] = {
    "zip": zipped,
    "stored zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    "tar": tarred,
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files), preset=0),
}
EVERY = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def unpacked(content: bytes, root: Path, folder: str | None = None, bounds: Bounds = BOUNDS) -> dict[str, str]:
    archive = root.with_name("set.download")
    archive.write_bytes(content)
    with whole_folder(root) as target:
        return unpack(archive, target, folder, bounds)


def refused(content: bytes, root: Path, *said: str, folder: str | None = None, bounds: Bounds = BOUNDS) -> None:
    """In one line, and nothing but the archive is left."""
    with pytest.raises(UserError) as caught:
        unpacked(content, root, folder, bounds)
    assert all(part in str(caught.value) for part in said), caught.value
    assert "\n" not in str(caught.value)
    assert [path.name for path in root.parent.iterdir()] == ["set.download"]


@EVERY
@pytest.mark.parametrize("folder", [None, "set-main/data", "set-main/data/"])
def test_files_come_out_as_they_went_in(pack: Pack, root: Path, folder: str | None) -> None:
    digests = unpacked(pack(FILES), root, folder)
    prefix = "" if folder is None else "set-main/data/"
    expected = {name.removeprefix(prefix): content for name, content in FILES.items() if name.startswith(prefix)}
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == expected.keys()
    assert all((root / name).read_bytes() == content for name, content in expected.items())
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in expected.items()}
    assert [path.name for path in root.parent.iterdir() if path != root] == ["set.download"]


def test_folders_of_their_own_and_dots_in_names_do_no_harm(root: Path) -> None:
    folders = [member(name, type=tarfile.DIRTYPE) for name in (".", "./a", "./a/b")]
    assert unpacked(tar_of(*folders, member("./a/b/c", b"1")), root, "a").keys() == {"b/c"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.mkdir("x")
        archive.mkdir("x/y")
        archive.writestr("x/y/z", b"2")
    assert unpacked(file.getvalue(), root.with_name("other"), "x").keys() == {"y/z"}


OUTSIDE = (
    *(
        "../out",
        "a/../../out",
        "/tmp/out",
        "//host/share/out",
        "C:\\out",
        "C:out",
        "\\out",
        "..\\out",
        "a\\..\\..\\out",
    ),
    *("a/C:/out", "a/..", "new\nline", "\x1b[2J", "right\u202eleft"),
)


@EVERY
@pytest.mark.parametrize("name", OUTSIDE, ids=ascii)
def test_no_name_leads_out(pack: Pack, root: Path, name: str) -> None:
    refused(pack({"fine": b"1", name: b"2"}), root, ascii(name).replace("\\x1b", "\\x1b"), "below one folder")


@EVERY
def test_nor_does_one_outside_of_the_folder_that_is_wanted(pack: Pack, root: Path) -> None:
    refused(pack({"data/fine": b"1", "../out": b"2"}), root, "'../out'", folder="data")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../out", "fine"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_tars_are_refused(root: Path, target: str, kind: bytes) -> None:
    link = member("link", type=kind, linkname=target)
    refused(tar_of(member("fine", b"1"), link, member("link/x", b"2")), root, "a link", "'link'")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_in_tars_are_refused(root: Path, kind: bytes) -> None:
    refused(tar_of(member("fine", b"1"), member("odd", type=kind)), root, "a device", "'odd'")


@pytest.mark.parametrize(("mode", "said"), [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a device"), (stat.S_IFIFO, "a")])
def test_links_and_devices_in_zips_are_refused(root: Path, mode: int, said: str) -> None:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (mode | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(file.getvalue(), root, said, "'odd'")


@EVERY
def test_files_get_no_more_rights_than_new_ones(pack: Pack, root: Path, tmp_path: Path) -> None:
    info, content = member("a", b"1", mode=0o6777, uid=12345)
    unpacked(tar_of((info, content)) if pack is PACKS["tar"] else pack({"a": b"1"}), root)
    (tmp_path / "new").touch()
    assert stat.S_IMODE((root / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "new").stat().st_mode)
    assert (root / "a").stat().st_uid == os.getuid()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("d/a", "d\\a")])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_come_once(root: Path, kind: str, names: tuple[str, str]) -> None:
    if kind == "tar":
        content = tar_of(*(member(name, b"1") for name in names))
    else:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive, pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            for name in names:
                archive.writestr(name, b"1")
        content = file.getvalue()
    refused(content, root, "each name once")


@EVERY
def test_what_is_too_much_is_refused(pack: Pack, root: Path) -> None:
    refused(pack(FILES), root, "at most 400.0 kB", "max_unpacked", bounds=Bounds(400_000, 100, 200))
    refused(pack(FILES), root, "at most 3 files", "max_files", bounds=Bounds(10**7, 3, 200))


@pytest.mark.parametrize("said", [20_000, 3])
def test_a_zip_of_too_many_files_does_not_fill_the_memory(root: Path, said: int) -> None:
    """Whatever number its end says; the library believes the size of the directory."""
    content = bytearray(zipped({str(number): b"" for number in range(20_000)}))
    end = content.rindex(b"PK\5\6")
    content[end + 8 : end + 12] = struct.pack("<HH", said, said)
    tracemalloc.start()
    try:
        refused(bytes(content), root, "at most 10 files", "max_files", bounds=Bounds(10**7, 10, 200))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * len(content)


def test_zips_in_a_zip_are_not_counted(root: Path) -> None:
    inner = zipped({str(number): b"" for number in range(200)})
    content = zipped({"a": inner, "b": inner[inner.index(b"PK\1\2") :]}, zipfile.ZIP_STORED)
    assert unpacked(content, root, bounds=Bounds(10**7, 2, 200)).keys() == {"a", "b"}


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_bombs_are_refused_soon(root: Path, kind: str) -> None:
    content = PACKS[kind]({"zeros": bytes(20_000_000)})
    began = time.process_time()
    refused(content, root, "at most 200 times its size", "max_ratio", bounds=Bounds(10**12, 100, 200))
    assert time.process_time() - began < 1


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
        unpacked(local + directory + end, root, None, Bounds(10**9, 100, 20))
    assert not root.exists()


def test_a_zip_is_not_believed_what_it_says_of_sizes(root: Path) -> None:
    """Sizes in the directory are changed, both ways; the bytes stay."""
    content = zipped({"a": bytes(100_000)})
    place = content.index(b"PK\1\2") + 24
    for size in (5, 200_000):
        lying = content[:place] + struct.pack("<I", size) + content[place + 4 :]
        refused(lying, root, "damaged", "'a'", bounds=Bounds(10**9, 9, 10**4))
    stored = bytearray(zipped({"a": b"12345"}, zipfile.ZIP_STORED))
    stored[stored.index(b"PK\1\2") + 24] = 9
    refused(bytes(stored), root, "expected 9 bytes, found 5")


def test_a_wrong_byte_is_noticed_and_its_file_named(root: Path) -> None:
    stored = bytearray(zipped(FILES, zipfile.ZIP_STORED))
    stored[200_000] ^= 1
    refused(bytes(stored), root, "damaged", "training/Ä b.png", "CRC")
    for kind in ("tar.gz", "tar.xz"):
        content = bytearray(PACKS[kind](FILES))
        content[200_000] ^= 1
        refused(bytes(content), root, "damaged")
    tar = bytearray(tarred(FILES))
    tar[tar.index(b"set-main/data/empty.txt")] ^= 1  # a header in the middle: its sum is wrong
    refused(bytes(tar), root, "damaged", "no end")


@EVERY
def test_a_cut_archive_is_noticed(pack: Pack, root: Path) -> None:
    content = pack(FILES)
    for length in (len(content) * 3 // 4, 1500, 700, len(content) - 15000):
        refused(content[:length], root, "damaged")


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>not found</html>" * 40, bytes(2000), b"\x1f\x8b", b"PK\3\4x"])
def test_what_is_no_archive_is_refused(root: Path, content: bytes) -> None:
    refused(content, root, "set.download")


def test_encrypted_zips_are_refused(root: Path) -> None:
    content = bytearray(zipped({"secret": b"1"}))
    content[content.index(b"PK\1\2") + 8] |= 1
    refused(bytes(content), root, "an encrypted file", "'secret'")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_huge_pieces_are_refused(root: Path, method: int) -> None:
    refused(zipped({"a": b"1"}, method), root, f"by method {method}", "'a'")


def test_huge_headers_in_tars_are_refused_before_memory_is_spent(root: Path) -> None:
    content = tar_of(member("a", pax_headers={"comment": "x" * 5_000_000}))
    refused(gzip.compress(content), root, "a header of", bounds=Bounds(10**9, 9, 10**4))


def test_sparse_files_in_tars_are_refused(root: Path) -> None:
    sparse = member("a", pax_headers={"GNU.sparse.size": "9999999999", "GNU.sparse.map": "0,0"})
    refused(tar_of(sparse), root, "a sparse file", "'a'")


def test_a_tar_cannot_lead_round_in_circles(root: Path) -> None:
    """A negative size, as base-256 numbers allow, would be followed backwards for ever where the entry is skipped."""
    content = bytearray(tarred({"a": b"1", "b": b"2"}))
    content[124:136] = (-1024 & (256**12 - 1)).to_bytes(12, "big")
    content[148:156] = b"        "
    content[148:156] = b"%06o\0 " % sum(content[:512])
    refused(bytes(content), root, "damaged", "a place before", folder="b")


def test_a_folder_that_is_not_there_is_said_with_those_that_are(root: Path) -> None:
    for kind in ("zip", "tar"):
        refused(PACKS[kind](FILES), root, "folder data", "set-main/data", "data.download.folder", folder="data")
    refused(zipped({}), root, "it holds none")


def test_room_is_looked_for_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 2 * 10**5}))
    refused(zipped(FILES), root, "room for 400.3 kB", "found 200.0 kB")


def test_a_full_disk_is_no_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open
    archive = root.with_name("set.download")
    archive.write_bytes(zipped(FILES))
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r": opened(Path("/dev/full"), "wb") if mode == "xb" else opened(path, mode)
    )
    with pytest.raises(UserError, match=r"cannot be written .No space left"), whole_folder(root) as target:
        unpack(archive, target, None, BOUNDS)
    assert [path.name for path in root.parent.iterdir()] == ["set.download"]


def test_a_folder_is_whole_or_not_there(root: Path) -> None:
    leftover = root.with_name(".set.unpacking")
    leftover.mkdir()
    (leftover / "half").touch()  # of a process that was killed
    with pytest.raises(KeyboardInterrupt), whole_folder(root) as folder:  # noqa: PT012
        assert not list(folder.iterdir())
        (folder / "a").touch()
        raise KeyboardInterrupt
    assert not list(root.parent.iterdir())
    root.mkdir()
    with whole_folder(root) as folder:  # an empty one may be there
        (folder / "a").touch()
    assert [path.name for path in root.iterdir()] == ["a"]
    with pytest.raises(UserError, match=r"not empty.*nothing was changed"), whole_folder(root) as folder:
        (folder / "b").touch()
    assert [path.name for path in root.iterdir()] == ["a"]
    assert list(root.parent.iterdir()) == [root]
