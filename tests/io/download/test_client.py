"""Downloads from servers on this machine that behave, break, change their minds and lie."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fkd.errors import Stopped, UserError
from fkd.io.download import client
from fkd.io.download.client import Patience, fetch, forget
from tests.conftest import PROJECT
from tests.io.download.serving import Answer, Handler, served, status, well, whole

FILE, OTHER = (random.Random(seed).randbytes(300_000) for seed in (0, 1))
PATIENCE = Patience(bytes=10**6, tries=4, pause=0.001, timeout=5)
CUT = 100_000


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.download"


def same(path: Path, content: bytes = FILE) -> bool:
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest()


def chunked(cut: int | None) -> Answer:
    """Without a length, as GitHub sends archives; cut off, the last chunk is missing."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("ETag", 'W/"weak"')
        handler.end_headers()
        for start in range(0, len(content[:cut]), 50_000):
            piece = content[start : start + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if cut is None:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def test_a_file_comes_whole_and_is_not_asked_for_again(path: Path) -> None:
    with served(FILE) as server:
        fetch(server.url, path, PATIENCE)
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert len(server.seen) == 1
    forget(path)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("state", [{"ETag": '"a"'}, {"Last_Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}])
def test_a_cut_download_goes_on_where_it_was(path: Path, state: dict[str, str]) -> None:
    with served(FILE, well(CUT, **state), status(503), well(CUT, **state), well(**state)) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert [seen.get("Range") for seen in server.seen] == [None, *(f"bytes={n}-" for n in (CUT, CUT, 2 * CUT))]
    assert {seen.get("If-Range") for seen in server.seen[1:]} == set(state.values())


def test_a_later_call_goes_on_where_one_gave_up(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(FILE, well(CUT), status(500)) as server:
        with pytest.raises(Stopped, match=rf"gave up after 4 tries .*500.*kept in {path}"):
            fetch(server.url, path, PATIENCE)
        assert path.read_bytes() == FILE[:CUT]
        server.answers[:] = [well()]
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert server.seen[-1]["Range"] == f"bytes={CUT}-"
    pauses = [line.split()[-2] for line in capsys.readouterr().err.splitlines() if "trying again" in line]
    assert pauses == ["0.001", "0.002", "0.004"]


@pytest.mark.parametrize("rest", [well(ETag='"two"'), whole(ETag='"two"'), well(Last_Modified="now"), status(416)])
def test_a_file_that_changed_begins_anew(path: Path, rest: Answer) -> None:
    with served(FILE, well(CUT), status(404)) as server:
        with pytest.raises(UserError):
            fetch(server.url, path, PATIENCE)
        assert path.stat().st_size == CUT
        server.content, server.answers[:] = OTHER, [rest, well(ETag='"two"')]
        fetch(server.url, path, PATIENCE)
    assert same(path, OTHER)


def test_another_state_sent_in_spite_of_if_range_is_noticed(path: Path) -> None:
    """By servers that know Range alone."""

    def careless(handler: Handler, content: bytes) -> None:
        del handler.headers["If-Range"]
        well(ETag='"two"')(handler, content)

    with served(FILE, well(CUT), status(404)) as server:
        with pytest.raises(UserError):
            fetch(server.url, path, PATIENCE)
        server.content, server.answers[:] = OTHER, [careless]
        fetch(server.url, path, PATIENCE)
    assert same(path, OTHER)
    assert [seen.get("Range") for seen in server.seen[2:]] == [f"bytes={CUT}-", None]


def test_a_rest_from_another_place_is_not_taken(path: Path) -> None:
    def shifted(handler: Handler, content: bytes) -> None:
        handler.say(206, content[CUT + 1 :], ETag='"one"', Content_Range=f"bytes {CUT + 1}-299999/300000")

    with served(FILE, well(CUT), shifted, well()) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)


def test_without_ranges_or_a_state_to_ask_for_it_begins_anew(path: Path) -> None:
    plain = lambda handler, content: handler.say(200, content[:CUT], Content_Length=len(content))  # noqa: E731
    with served(FILE, plain, whole(Content_Length=len(FILE))) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert not any("Range" in seen for seen in server.seen)
    forget(path)
    with served(FILE, well(CUT), whole(Content_Length=len(FILE))) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)


def test_another_address_begins_anew(path: Path) -> None:
    """Though its server calls the state by the same name."""
    with served(FILE, well(CUT), status(404)) as server, pytest.raises(UserError):
        fetch(server.url, path, PATIENCE)
    for content in (OTHER, FILE):
        with served(content) as server:
            fetch(server.url, path, PATIENCE)
        assert same(path, content)
        assert "Range" not in server.seen[0]


def test_a_file_of_which_nothing_is_missing_is_known_by_416(path: Path) -> None:
    path.write_bytes(FILE)
    with served(FILE) as server:
        note = {"url": server.url, "validator": '"one"', "is_whole": False}  # killed after the last byte
        Path(f"{path}.json").write_text(json.dumps(note))
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert len(server.seen) == 1


def test_no_length_is_needed_and_a_missing_end_is_noticed(path: Path) -> None:
    with served(FILE, chunked(cut=150_000), chunked(cut=None)) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert len(server.seen) == 2
    assert not any("Range" in seen for seen in server.seen)  # a weak ETag may stand for other bytes
    forget(path)
    with served(FILE, whole()) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)


def test_more_than_was_announced_is_a_lie(path: Path) -> None:
    with served(FILE, whole(Content_Length=CUT)) as server, pytest.raises(UserError, match="expected 100,000 bytes"):
        fetch(server.url, path, PATIENCE)
    assert not path.exists()


def test_less_than_was_announced_is_a_cut_and_the_rest_is_asked_for(path: Path) -> None:
    with served(FILE, well(CUT), well(0)) as server, pytest.raises(Stopped, match="100,000 of 300,000 bytes"):
        fetch(server.url, path, PATIENCE)
    assert len(server.seen) == PATIENCE.tries
    assert path.read_bytes() == FILE[:CUT]


@pytest.mark.parametrize("answer", [well(), chunked(None)])
def test_what_is_too_large_is_refused(path: Path, answer: Answer) -> None:
    with served(FILE, answer) as server, pytest.raises(UserError, match=r"at most 200.0 kB.*max_download"):
        fetch(server.url, path, Patience(200_000, 4, 0, 5))
    assert len(server.seen) == 1
    assert not path.exists() or path.stat().st_size <= 200_000


def test_room_is_looked_for_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr(client.shutil, "disk_usage", lambda folder: usage)
    with served(FILE) as server, pytest.raises(UserError, match=r"room for 300.0 kB, found 100.0 kB"):
        fetch(server.url, path, PATIENCE)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("content", [FILE, b"little"])
def test_a_full_disk_is_not_taken_for_a_broken_connection(path: Path, content: bytes) -> None:
    path.symlink_to("/dev/full")
    with served(content) as server, pytest.raises(UserError, match=r"cannot be written .No space left"):
        fetch(server.url, path, PATIENCE)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(404), "found 404 Not Found"),
        (status(403), "found 403 Forbidden"),
        (status(302, Location="file:///etc/passwd"), "file:///etc/passwd' is not allowed"),
        (status(302, Location="ftp://127.0.0.1/x"), "unknown url type: ftp"),
        (status(302, Location="data:text/plain,x"), "is not allowed"),
        (status(302, Location="http://[bad/"), "correct data.download.url"),
        (status(302, Location="/round/and/round"), "infinite loop"),
    ],
)
def test_what_another_try_would_not_mend_is_said_at_once(path: Path, answer: Answer, said: str) -> None:
    with served(FILE, answer) as server, pytest.raises(UserError) as caught:
        fetch(server.url, path, PATIENCE)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(path.parent.iterdir())
    if "loop" not in said:
        assert len(server.seen) == 1


def test_a_redirection_keeps_the_range(path: Path) -> None:
    def elsewhere(handler: Handler, content: bytes) -> None:
        handler.say(302, b"", Location="/elsewhere.zip")

    with served(FILE, elsewhere, well(CUT), elsewhere, well()) as server:
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert [seen.get("Range") for seen in server.seen[2:]] == [f"bytes={CUT}-"] * 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "None", "http://", "http://h/a b", "http://h/é"])
def test_only_addresses_of_the_web_are_asked(path: Path, url: str) -> None:
    with pytest.raises(UserError, match=r"data.download.url=.*https://host"):
        fetch(url, path, PATIENCE)


def test_a_silent_server_is_given_up(path: Path) -> None:
    def silent(handler: Handler, content: bytes) -> None:
        handler.say(200, content[:CUT], Content_Length=len(content))
        time.sleep(0.5)

    with served(FILE, silent) as server, pytest.raises(Stopped, match="timed out"):
        fetch(server.url, path, Patience(10**6, 2, 0, 0.1))
    assert len(server.seen) == 2


def test_no_server_is_said_in_one_line(path: Path) -> None:
    with served(FILE) as server:
        url = server.url
    with pytest.raises(Stopped, match=r"gave up after 4 tries .*refused.*; the same command goes on"):
        fetch(url, path, PATIENCE)


def test_a_killed_download_goes_on(path: Path) -> None:
    """Killed outright in the middle: what the file holds is what came, and its note is of it."""

    def slow(handler: Handler, content: bytes) -> None:
        handler.say(200, content[:CUT], Content_Length=len(content), ETag='"one"')
        time.sleep(20)

    code = (
        "import sys; from pathlib import Path; from fkd.io.download.client import *;"
        f"fetch(sys.argv[1], Path({str(path)!r}), Patience(10**6, 1, 0, 30))"
    )
    with served(FILE, slow, well()) as server:
        process = subprocess.Popen([sys.executable, "-c", code, server.url], cwd=PROJECT, env=os.environ)
        deadline = time.monotonic() + 20
        while not (path.exists() and path.stat().st_size == CUT) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        fetch(server.url, path, PATIENCE)
    assert same(path)
    assert server.seen[-1]["Range"] == f"bytes={CUT}-"
