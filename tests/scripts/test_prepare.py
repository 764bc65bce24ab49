"""scripts/prepare.py as a user runs it, on a set that a server on this machine serves as GitHub would."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PROJECT, Outcome, write_faces
from tests.io.download.serving import Handler, Server, served, status, whole
from tests.io.download.test_archives import zipped

TOP = "P1_Facial_Keypoints-master"
FAST = ("pause=0.001", "tries=3", "data.cache_dir=cache")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Name in the archive -> content."""
    root = write_faces(tmp_path_factory.mktemp("prepare") / "set", subjects=5, frames=3)
    files = {f"{TOP}/data/{p.relative_to(root).as_posix()}": p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return {f"{TOP}/README.md": b"read me", **files}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def prepare(script: Callable[..., Outcome]) -> Callable[..., Outcome]:
    def run(server: Server, *arguments: str) -> Outcome:
        url = f"data.download.url={server.url}"
        return script("prepare", "data=udacity", "data.root=my set", url, *FAST, *arguments)

    return run


def expected(archive: dict[str, bytes]) -> dict[str, str]:
    prefix = f"{TOP}/data/"
    files = {name.removeprefix(prefix): content for name, content in archive.items() if name.startswith(prefix)}
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }


def refused(outcome: Outcome, *said: str, code: int = 2) -> None:
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert outcome.status == code, outcome.err
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert all(part in lines[0] for part in said), lines


def test_a_set_is_downloaded_listed_loaded_and_verified(
    archive: dict[str, bytes], prepare: Callable[..., Outcome], tmp_path: Path
) -> None:
    with served(zipped(archive), whole(20_000), whole()) as server:
        command = [sys.executable, str(PROJECT / "scripts/prepare.py"), "data=udacity", "data.root=my set", *FAST]
        command.append(f"data.download.url={server.url}")

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)

        first = run()
        assert first.returncode == 0, first.stderr
        assert "20000 bytes read" in first.stderr  # before the connection broke
        assert contents(tmp_path / "my set") == expected(archive)
        lines = (tmp_path / "my set/SHA256SUMS").read_text().splitlines()
        assert lines == [f"{digest}  {name}" for name, digest in sorted(expected(archive).items())]
        assert {path.name for path in tmp_path.iterdir()} == {"my set", "cache"}
        assert "15 faces (" in first.stdout
        ready = "ready: fkd train data=udacity 'data.root=my set' data.cache_dir=cache"
        assert ready in first.stdout
        assert len(server.seen) == 2
        again = prepare(server)
        assert again.status == 0, again.err
        assert f"{len(archive) - 1} files have their checksums" in again.out
        assert ready in again.out
        (tmp_path / "my set/training/Subject_0_0.png").write_bytes(b"x")
        (tmp_path / "my set/more").touch()
        (tmp_path / "my set/test/Subject_0_2.png").unlink()
        third = run()
        assert third.returncode == 2
        error = third.stderr.splitlines()[-1]
        for part in ("1 changed (training/Subject_0_0.png)", "1 missing (test/Subject_0_2.png)", "1 extra (more)"):
            assert part in error
        assert len(server.seen) == 2


def test_sums_that_are_given_are_checked(archive: dict[str, bytes], prepare: Callable[..., Outcome]) -> None:
    listed = "".join(f"{digest}  {name}\n" for name, digest in expected(archive).items())
    Path("wrong").write_text(listed.replace(expected(archive)["test_frames_keypoints.csv"], "0" * 64))
    Path("right").write_text(listed)
    with served(zipped(archive)) as server:
        outcome = prepare(server, "data.download.sums=wrong")
        refused(outcome, "sums=wrong", "1 changed (test_frames_keypoints.csv)", "delete", ".my set.download/archive")
        assert not Path("my set").exists()
        assert prepare(server, "data.download.sums=right").status == 0
        assert len(server.seen) == 1  # the archive was kept
        refused(prepare(server, "data.download.sums=wrong"), "1 changed (test_frames_keypoints.csv)")
    assert contents(Path("my set")) == expected(archive)


def test_the_hash_of_the_archive_is_checked(archive: dict[str, bytes], prepare: Callable[..., Outcome]) -> None:
    content = zipped(archive)
    found = hashlib.sha256(content).hexdigest()
    with served(content) as server:
        outcome = prepare(server, f"data.download.hash=sha256:{'0' * 64}")
        refused(outcome, "0" * 64, found, "correct data.download.url or data.download.hash")
        refused(prepare(server, "data.download.hash=sha256"), "data.download.hash=sha256", "64 hexadecimal digits")
        assert not list(Path().iterdir())
        for name in (".my set.lock", ".my set.download/archive"):  # of a process that was killed at its end
            assert prepare(server, f"data.download.hash={found}").status == 0
            assert {path.name for path in Path().iterdir()} == {"my set", "cache"}
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).touch()
        assert prepare(server, f"data.download.hash={found}").status == 0
        assert {path.name for path in Path().iterdir()} == {"my set", "cache"}
        assert len(server.seen) == 2
    assert contents(Path("my set")) == expected(archive)


def test_a_list_in_the_archive_gives_way_to_ours(archive: dict[str, bytes], prepare: Callable[..., Outcome]) -> None:
    with served(zipped({**archive, f"{TOP}/data/SHA256SUMS": b"theirs"})) as server:
        assert prepare(server).status == 0
        assert prepare(server).status == 0
    assert contents(Path("my set")) == expected(archive)


def test_what_is_there_stays_as_it_is(archive: dict[str, bytes], prepare: Callable[..., Outcome]) -> None:
    root = Path("my set")
    root.mkdir()
    (root / "mine").write_text("own")
    with served(zipped(archive)) as server:
        refused(prepare(server), "my set", "SHA256SUMS", "found other files", "give another data.root")
        assert [path.name for path in root.iterdir()] == ["mine"]
        shutil.rmtree(root)
        root.touch()
        refused(prepare(server), "my set", "expected a folder")
        root.unlink()
        root.mkdir()
        assert not server.seen
        assert prepare(server).status == 0  # an empty one is filled


def test_bad_archives_leave_nothing_but_themselves(archive: dict[str, bytes], prepare: Callable[..., Outcome]) -> None:
    for content, said in (
        (zipped({**archive, f"{TOP}/data/../../../out": b"x"}), "below one folder"),
        (zipped({f"{TOP}/README.md": b""}), "data.download.folder"),
        (zipped(archive)[:-50], "damaged"),
        (b"<html>login</html>", "expected a whole zip or tar"),
    ):
        with served(content) as server:
            refused(prepare(server), said)
        assert [path.name for path in Path().iterdir()] == [".my set.download"]
        assert [path.read_bytes() for path in Path(".my set.download").iterdir()] == [content]


def test_statuses_are_those_of_the_contract(archive: dict[str, bytes], prepare: Callable[..., Outcome]) -> None:
    with served(b"", status(404)) as server:
        refused(prepare(server), "404", "data.download.url")
        server.answers[:] = [status(500)]
        refused(prepare(server), "gave up after 3 tries", "the same command later", code=1)
        server.answers[:] = [status(302, Location="file:///etc/passwd")]
        refused(prepare(server), "file:///etc/passwd")
        server.answers[:] = [whole()]
        for key in ("tries=0", "pause=-1", "max_files=x", "max_ratio=0", "timeout=0"):
            refused(prepare(server, key), key.split("=")[0])
        refused(prepare(server, "data.download=https"), "data.download.url")
    assert not list(Path().iterdir())


def test_a_set_without_an_address_is_said_in_one_line(script: Callable[..., Outcome]) -> None:
    refused(script("prepare"), "data=synthetic", "data.download.url")


def test_ctrl_c_leaves_nothing_half_written(
    archive: dict[str, bytes], prepare: Callable[..., Outcome], tmp_path: Path
) -> None:
    def slow(handler: Handler, content: bytes) -> None:
        whole(200_000)(handler, content)
        time.sleep(20)

    command = [sys.executable, str(PROJECT / "scripts/prepare.py"), "data=udacity", "data.root=my set", *FAST]
    noise = random.Random(0).randbytes(300_000)
    with served(zipped({f"{TOP}/noise": noise, **archive}), slow, whole()) as server:
        command.append(f"data.download.url={server.url}")
        piped = {"cwd": tmp_path, "stderr": subprocess.PIPE, "text": True, "env": os.environ}
        process = subprocess.Popen(command, **piped)
        work = tmp_path / ".my set.download"
        deadline = time.monotonic() + 60
        while not any(part.stat().st_size for part in work.glob("*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert work.exists()
        second = subprocess.run(command, **piped, check=False)
        assert second.returncode == 2
        assert "expected one command at a time" in second.stderr
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert err.splitlines()[-1] == "error: interrupted; give the same command to start again"
        assert not list(tmp_path.iterdir())
        assert prepare(server).status == 0
    assert contents(tmp_path / "my set") == expected(archive)
