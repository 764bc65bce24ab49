"""Downloads from servers on this machine that behave, break, change their minds and lie."""

import gzip
import hashlib
import random
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fkd.errors import Stopped, UserError
from fkd.io.download import client
from tests.conftest import PROJECT
from tests.io.download.serving import Answer, Handler, served, status, whole

FILE, OTHER = (random.Random(seed).randbytes(300_000) for seed in (0, 1))
SHA256 = hashlib.sha256(FILE).hexdigest()
CUT = 100_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


def fetch(url: str, folder: Path, known_hash: str | None = None, **options: float) -> Path:
    settings = {"max_bytes": 10**6, "tries": 4, "pause": 0.001, "timeout": 5, **options}
    return client.fetch(url, folder, known_hash, **settings)


def refused(url: str, folder: Path, *said: str, **options: object) -> None:
    """In one line, and nothing is left."""
    with pytest.raises(UserError) as caught:
        fetch(url, folder, **options)
    assert all(part in str(caught.value) for part in said), caught.value
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("; ") == 1
    assert not list(folder.parent.iterdir())


def chunked(handler: Handler, content: bytes, cut: int | None = None) -> None:
    """Without a length, as GitHub sends archives; cut off, the last chunk is missing."""
    handler.protocol_version = "HTTP/1.1"
    handler.close_connection = True
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for start in range(0, len(content[:cut]), 50_000):
        chunk = content[start : start + 50_000]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    if cut is None:
        handler.wfile.write(b"0\r\n\r\n")


def cut_chunked(handler: Handler, content: bytes) -> None:
    chunked(handler, content, cut=150_000)


def until_closed(handler: Handler, content: bytes) -> None:
    """Without a length and without chunks: HTTP/1.0."""
    handler.say(200, content)


@pytest.mark.parametrize("answer", [whole(), chunked, until_closed], ids=["length", "chunks", "neither"])
def test_a_file_is_downloaded_once(folder: Path, answer: Answer) -> None:
    with served(FILE, answer) as server:
        path = fetch(server.url, folder)
        assert path.read_bytes() == FILE
        assert fetch(server.url, folder) == path
        assert len(server.seen) == 1
    assert list(folder.iterdir()) == [path]


def test_a_redirect_is_followed(folder: Path) -> None:
    """As GitHub sends to another host for archives."""
    with served(FILE) as other, served(b"", status(302, Location=other.url)) as server:
        assert fetch(server.url, folder, SHA256).read_bytes() == FILE
    assert [len(server.seen), len(other.seen)] == [1, 1]


def test_the_file_of_another_url_is_not_taken_for_this_one(folder: Path) -> None:
    for content in (FILE, OTHER):
        with served(content) as server:
            path = fetch(server.url, folder)
        assert path.read_bytes() == content
        assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize(
    "fault",
    [whole(CUT), cut_chunked, *(status(code) for code in (408, 429, 500, 503))],
    ids=["length", "chunks", "408", "429", "500", "503"],
)
def test_a_broken_download_starts_again_from_its_first_byte(
    folder: Path, fault: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(FILE, fault, fault, whole()) as server:
        assert fetch(server.url, folder).read_bytes() == FILE
    assert len(server.seen) == 3
    assert not any("Range" in seen for seen in server.seen)
    lines = [line for line in capsys.readouterr().err.splitlines() if "trying again" in line]
    assert [line.split()[-2] for line in lines] == ["0.001", "0.002"]


def test_what_breaks_every_time_is_given_up_and_leaves_nothing(folder: Path) -> None:
    with served(FILE, whole(CUT)) as server:
        with pytest.raises(Stopped, match=r"gave up after 4 tries .*100000 bytes read, 200000 more expected") as caught:
            fetch(server.url, folder)
        url = server.url
    assert len(server.seen) == 4
    with pytest.raises(Stopped, match=r"gave up after 2 tries .*refused.*; give the same command later") as no_server:
        fetch(url, folder, tries=2)
    assert "\n" not in f"{caught.value}{no_server.value}"
    assert "Max retries" not in str(no_server.value)  # of requests, which made none
    assert not list(folder.parent.iterdir())


def test_a_silent_server_is_given_up(folder: Path) -> None:
    def silent(handler: Handler, content: bytes) -> None:
        whole(CUT)(handler, content)
        time.sleep(0.5)

    with served(FILE, silent) as server, pytest.raises(Stopped, match="timed out"):
        fetch(server.url, folder, tries=2, timeout=0.1)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(404), "found 404"),
        (status(403), "found 403"),
        (status(302, Location="file:///etc/passwd"), "file:///etc/passwd"),
        (status(302, Location="ftp://127.0.0.1/x"), "ftp://127.0.0.1/x"),
        (status(302, Location="data:text/plain,x"), "data:text/plain,x"),
        (status(302, Location="http://[bad/"), "Invalid"),
        (status(302, Location="/round/and/round"), "Exceeded 30 redirects"),
        (whole(Content_Length="abc"), "abc"),
        (status(200, Content_Length=0), "found 0 bytes"),
        (status(204), "found 0 bytes"),
        (status(304), "found 0 bytes"),
        (status(200, b"nonsense", Content_Encoding="gzip"), "failed to decode"),
    ],
)
def test_what_another_try_would_not_mend_is_said_at_once(folder: Path, answer: Answer, said: str) -> None:
    with served(FILE, answer) as server:
        refused(server.url, folder, said, "correct data.download.url")
    assert len(server.seen) == (31 if "redirects" in said else 1)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "doi:10.1/x", "None", "http://", "http://h:x/"])
def test_only_urls_of_the_web_are_asked(folder: Path, url: str) -> None:
    refused(url, folder, url, "correct data.download.url")


@pytest.mark.parametrize("known_hash", [SHA256, f"sha256:{SHA256.upper()}", f"md5:{hashlib.md5(FILE).hexdigest()}"])
def test_a_hash_that_is_given_is_verified(folder: Path, known_hash: str) -> None:
    with served(OTHER) as server:
        algorithm, digits = known_hash.rpartition(":")[::2]
        found = hashlib.new(algorithm or "sha256", OTHER).hexdigest()
        refused(server.url, folder, digits, found, "data.download.hash", known_hash=known_hash)
        assert len(server.seen) == 1  # another try would bring the same
        server.content = FILE
        path = fetch(server.url, folder, known_hash)
        path.write_bytes(OTHER)
        assert fetch(server.url, folder, known_hash).read_bytes() == FILE


@pytest.mark.parametrize("known_hash", ["", "x" * 64, SHA256[1:], f"md5:{SHA256}", f"crc:{SHA256}"])
def test_what_is_no_hash_is_refused_before_the_download(folder: Path, known_hash: str) -> None:
    with served(FILE) as server:
        refused(server.url, folder, f"data.download.hash={known_hash}", "64 hexadecimal", known_hash=known_hash)
    assert not server.seen


def packed(handler: Handler, content: bytes) -> None:
    """Small as it comes, large as requests would unpack it."""
    body = gzip.compress(bytes(10**6))
    assert len(body) < 2000
    handler.say(200, body, Content_Length=len(body), Content_Encoding="gzip")


@pytest.mark.parametrize("answer", [whole(), chunked, packed])
def test_what_is_too_large_is_refused(folder: Path, answer: Answer) -> None:
    with served(FILE, answer) as server:
        refused(server.url, folder, "at most 200.0 kB", "max_download", max_bytes=200_000)
        assert len(server.seen) == 1
        assert server.seen[0]["Accept-Encoding"] == "identity"


def test_a_large_file_does_not_fill_the_memory(folder: Path) -> None:
    content = bytes(30_000_000)
    with served(content) as server:
        tracemalloc.start()
        try:
            path = fetch(server.url, folder, max_bytes=10**8)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert path.stat().st_size == len(content)
    assert peak < 5_000_000


def test_a_full_disk_is_not_taken_for_a_broken_connection(folder: Path, small_disk: Callable[[int], None]) -> None:
    with served(FILE) as server:
        small_disk(150_000)
        refused(server.url, folder, "cannot be written", "File too large", "make room")
    assert len(server.seen) == 1
    folder.touch()  # nor is a file in its place
    with pytest.raises(UserError, match=f"{folder}: cannot be written"):
        fetch(server.url, folder)


def test_the_progress_bar_gets_the_bytes_that_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[list[object]] = []

    @contextmanager
    def recorded(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        bars.append([title, total, 0])

        def advance(count: int) -> None:
            bars[-1][2] += count

        yield advance

    monkeypatch.setattr(client, "progress_in_bytes", recorded)
    with served(FILE, whole(CUT), whole()) as server:
        fetch(server.url, folder)
    with served(FILE, chunked) as server:
        fetch(server.url, folder)
    title = "Downloading from 127.0.0.1"
    first, *others = bars
    assert first[:2] == [title, 300_000]
    assert 0 <= first[2] <= CUT  # requests keeps back what came of a chunk before the connection broke
    assert others == [[title, 300_000, 300_000], [title, None, 300_000]]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_server_that_nobody_vouches_for_is_refused_at_once(folder: Path, tmp_path_factory: object) -> None:
    place = tmp_path_factory.mktemp("certificate")
    names = ["-keyout", place / "key", "-out", place / "certificate", "-subj", "/CN=127.0.0.1", "-days", "1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "certificate", place / "key")
    with served(FILE) as server:
        server.handle_error = lambda *_: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        refused(server.url.replace("http:", "https:"), folder, "CERTIFICATE_VERIFY_FAILED", pause=60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_is_ended_leaves_no_part_that_is_taken_for_the_whole(folder: Path, number: int) -> None:
    def slow(handler: Handler, content: bytes) -> None:
        whole(CUT)(handler, content)
        time.sleep(20)

    code = (
        "import sys; from pathlib import Path; from fkd.io.download.client import fetch;"
        "fetch(sys.argv[1], Path(sys.argv[2]), None, max_bytes=10**6, tries=1, pause=0, timeout=30)"
    )
    with served(FILE, slow, whole()) as server:
        command = [sys.executable, "-c", code, server.url, str(folder)]
        process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size for path in folder.glob("*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        (part,) = folder.iterdir()
        assert 0 < part.stat().st_size <= CUT
        process.send_signal(number)
        process.communicate()
        assert [part.exists(), folder.exists()] == [number == signal.SIGKILL] * 2
        path = fetch(server.url, folder)
    assert path.read_bytes() == FILE
    assert list(folder.iterdir()) == [path]
    assert re.fullmatch(r"archive-[0-9a-f]{16}", path.name)
