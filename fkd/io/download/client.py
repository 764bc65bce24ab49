"""Files from the web, gone on with where they were cut.

HTTP as RFC 9110 has it: ranges (section 14), and If-Range (13.1.5), which asks for the rest of a file only if it is
still the same file. Beside a file lies a note of which one it is: its address, and what the server calls this state of
it.
"""

import json
import re
import shutil
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from rich.filesize import decimal

from fkd.errors import Stopped, UserError
from fkd.files import whole_file
from fkd.progress import progress_in_bytes

_PIECE = 1 << 16  # bytes
_ADDRESS = r"https?://(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9_.-]+)(:\d+)?([/?][!-~]*)?"
_WORTH_ANOTHER_TRY = frozenset((408, 425, 429, *range(500, 600)))


@dataclass(frozen=True)
class Patience:
    """How much of everything a download may take.

    Attributes:
        bytes: size of the file.
        tries: how often it is asked for in all.
        pause: seconds before the second try; before each further one twice as many.
        timeout: seconds without a byte after which a connection counts as broken.
    """

    bytes: int
    tries: int
    pause: float
    timeout: float


def fetch(url: str, path: Path, patience: Patience) -> None:
    """Downloads into a file, whose folder must be there; what an earlier call left in it is gone on with.

    A file that is whole already is not asked for again. Whatever fails, what has come stays for the next call.

    Raises:
        UserError: the address or what is there is of no use, the file is too large, or it cannot be written.
        Stopped: the connection broke more often than patience allows.
    """
    if not re.fullmatch(_ADDRESS, url):
        raise UserError(f"data.download.url={url}: expected an address like https://host/file.zip (ASCII, no spaces)")
    note = _Note.beside(path)
    if note is not None and note.url == url and note.is_whole:
        return
    for number in range(1, patience.tries + 1):
        try:
            _try(url, path, patience)
            return
        except _Broken as broken:
            if number == patience.tries:
                kept = f"what has come is kept in {path}, and " if path.is_file() else ""
                raise Stopped(
                    f"{url}: gave up after {number} tries ({broken}); {kept}the same command goes on; or "
                    "download it by other means and give its folder (data.root=DIR)"
                ) from broken
            wait = patience.pause * 2 ** (number - 1)
            print(f"{broken}; trying again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)


def forget(path: Path) -> None:
    """Removes a downloaded file and the note beside it."""
    path.unlink(missing_ok=True)
    _Note.path(path).unlink(missing_ok=True)


class _Broken(Exception):  # noqa: N818 (what happened, as KeyboardInterrupt)
    """A transfer ended too early; another try may get further."""


@dataclass(frozen=True)
class _Note:
    url: str
    validator: str | None  # a strong ETag or a date, for If-Range; None: nothing can be gone on with
    is_whole: bool

    @staticmethod
    def path(file: Path) -> Path:
        return file.with_name(f"{file.name}.json")

    @classmethod
    def beside(cls, file: Path) -> "_Note | None":
        """The note of a file; None if there is no such file, or no note that can be read."""
        try:
            return cls(**json.loads(cls.path(file).read_bytes())) if file.is_file() else None
        except (OSError, ValueError, TypeError):
            return None

    def write(self, file: Path) -> None:
        with whole_file(self.path(file)) as note:
            note.write(json.dumps(asdict(self)).encode())


def _try(url: str, path: Path, patience: Patience) -> None:
    note, start, headers = _Note.beside(path), 0, {"User-Agent": "fkd"}
    validator = note.validator if note is not None and note.url == url else None
    if validator is not None and (start := path.stat().st_size):
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        with _opener().open(request.Request(url, headers=headers), timeout=patience.timeout) as response:
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                _check_rest(response, path, start, validator)
            else:
                start = 0
            _receive(response, url, path, start, patience)
    except HTTPError as error:
        with error:
            _explain(error, url, path, start)
    except UserError:
        raise
    except (InvalidURL, ValueError, OverflowError) as error:
        raise UserError(f"{url}: expected an address, found none ({error}); correct data.download.url") from error
    except (HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
        if isinstance(reason, ssl.SSLCertVerificationError) or "unknown url type" in str(reason):
            raise UserError(f"{url}: expected a server that can be trusted, found none ({reason})") from error
        raise _broken(reason) from error
    with _writing(path):
        _Note(url, None, is_whole=True).write(path)


def _opener() -> request.OpenerDirector:
    """For http and https, wherever a server leads to: urllib's own would go on to FTP as well."""
    opener = request.OpenerDirector()
    for handler in (
        *(request.ProxyHandler(), request.HTTPHandler(), request.HTTPSHandler(), request.UnknownHandler()),
        *(request.HTTPRedirectHandler(), request.HTTPDefaultErrorHandler(), request.HTTPErrorProcessor()),
    ):
        opener.add_handler(handler)
    return opener


def _explain(error: HTTPError, url: str, path: Path, start: int) -> None:
    """Raises what a status that is no success means; returns if it means that nothing is missing."""
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return
        forget(path)
        raise _Broken(f"the server's file has not the {start:,} bytes that had come; they are dropped")
    if error.code in _WORTH_ANOTHER_TRY:
        raise _Broken(f"the server answered {error.code} {error.reason}")
    what = " ".join(str(error.reason).split())
    raise UserError(f"{url}: expected a file, found {error.code} {what}; correct data.download.url")


def _check_rest(response: HTTPResponse, path: Path, start: int, validator: str | None) -> None:
    """Drops what has come if an answer is not its rest; a server may have seen Range, but not If-Range."""
    header = "ETag" if (validator or "").startswith('"') else "Last-Modified"
    is_same = response.headers.get(header, validator) == validator
    if not is_same or not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        forget(path)
        raise _Broken(f"the server sent no rest of the {start:,} bytes that had come; they are dropped")


def _receive(response: HTTPResponse, url: str, path: Path, start: int, patience: Patience) -> None:
    """Writes the bytes of an answer to a file, from a place on; what was there behind it goes."""
    total = None if response.length is None else start + response.length
    _check_size(url, total or 0, patience)
    if (needed := (total or 0) - start) > (free := shutil.disk_usage(path.parent).free):
        raise UserError(f"{path.parent}: expected room for {decimal(needed)}, found {decimal(free)}; make room")
    received = start
    bar = progress_in_bytes(f"Downloading from {urlsplit(url).hostname}", total, start)
    with _writing(path), path.open("ab" if start else "wb") as file, bar as advance:
        if not start:  # only now, that nothing else is in the file
            _Note(url, _validator(response), is_whole=False).write(path)
        for piece in _pieces(response):
            received += len(piece)
            _check_size(url, received, patience)
            file.write(piece)
            advance(len(piece))
    if total is not None and received < total:
        raise _Broken(f"{received:,} of {total:,} bytes came")
    if total is not None and received > total:
        forget(path)
        raise UserError(
            f"{url}: expected {total:,} bytes, as the server said, found more; give another data.download.url"
        )


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    if response.will_close:
        response.length = None  # up to the end of the connection, which shows whether more comes than was announced
    try:
        while piece := response.read1(_PIECE):
            yield piece
    except (HTTPException, OSError) as error:  # the connection's: they must not be taken for the disk's
        raise _broken(error) from error


def _broken(error: Exception) -> _Broken:
    return _Broken(f"the connection broke: {' '.join(str(error).split()) or type(error).__name__}")


def _validator(response: HTTPResponse) -> str | None:
    """What If-Range may hold: a weak ETag may stand for other bytes."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _check_size(url: str, count: int, patience: Patience) -> None:
    if count > patience.bytes:
        raise UserError(
            f"{url}: expected at most {decimal(patience.bytes)}, found more; raise max_download if you trust it"
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Says what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room or give another data.root") from error
