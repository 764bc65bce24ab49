"""Downloads by pooch, as an atomic write with a verified hash.

pooch cannot resume, and its own retries would repeat hopeless requests (404, a wrong hash), so they stay off.
"""

import hashlib
import io
import os
import re
import shutil
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
from rich.filesize import decimal

from fkd.errors import Stopped, UserError
from fkd.terminal import progress_in_bytes, tell

_CHUNK = 1 << 16  # bytes
_HASH = re.compile(r"(sha256:)?[0-9a-f]{64}|md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha512:[0-9a-f]{128}", re.IGNORECASE)
_TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def fetch(
    url: str, folder: Path, known_hash: str | None, *, max_bytes: int, tries: int, pause: float, timeout: float
) -> Path:
    """Downloads a file over HTTP into a folder of its own, unless it is already there.

    Args:
        url: http://... or https://...
        folder: made if missing; all other files in it are removed.
        known_hash: SHA-256 as hexadecimal digits, or "md5:...", "sha1:...", "sha512:..."; None: not checked.
        max_bytes: larger files are refused.
        tries: number of attempts, if connections break.
        pause: seconds before the second attempt, doubled before each further one.
        timeout: seconds without a byte after which a connection is broken.

    Raises:
        UserError: an error of the URL, the hash, the size or the disk.
        Stopped: the connection broke in every attempt.
    """
    if known_hash is not None and not _HASH.fullmatch(known_hash):
        expected = "expected 64 hexadecimal digits of SHA-256, or md5:DIGITS, sha1:DIGITS, sha512:DIGITS"
        raise UserError(f"data.download.hash={known_hash}: {expected}, found something else; correct it")
    path, reason = folder / f"archive-{hashlib.sha256(os.fsencode(url)).hexdigest()[:16]}", ""
    pooch.get_logger().setLevel("WARNING")
    client = pooch.create(folder, base_url="", registry={path.name: known_hash}, urls={path.name: url})
    download = partial(_download, max_bytes=max_bytes, timeout=timeout)
    try:
        folder.mkdir(exist_ok=True)
        for other in set(folder.iterdir()) - {path}:  # of a process that was killed, or of another URL
            shutil.rmtree(other) if other.is_dir() else other.unlink()
        for number in range(tries):
            if number:
                wait = pause * 2 ** (number - 1)
                tell(f"{reason}; trying again in {wait:g} s", is_error=True)
                time.sleep(wait)
            try:
                return Path(client.fetch(path.name, downloader=download))
            except requests.RequestException as error:
                reason = _reason(error)
                if not _is_transient(error):
                    raise UserError(f"{url}: expected a file, found {reason}; correct data.download.url") from error
        way_out = "give the same command later, or download it by other means and give its folder (data.root=DIR)"
        raise Stopped(f"{url}: gave up after {tries} tries ({reason}); {way_out}")
    except UserError:
        raise
    except ValueError as error:  # a wrong hash, or a header that cannot be parsed
        reason = re.sub(r".*expected (\S+) but got (\w+).*", r"expected the hash \1, found \2", _reason(error))
        raise UserError(f"{url}: {reason}; correct data.download.url or data.download.hash") from error
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error}); make room or give another data.root") from error
    finally:
        with suppress(OSError):
            folder.rmdir()  # if it is empty


def _download(url: str, output: str, client: object, *, max_bytes: int, timeout: float) -> None:
    """One attempt, as pooch calls it."""
    headers = {"Accept-Encoding": "identity"}  # otherwise requests would decompress the file
    with ExitStack() as bars, _Sink(output, url, max_bytes, bars) as sink:
        http = pooch.HTTPDownloader(progressbar=sink, chunk_size=_CHUNK, timeout=timeout, headers=headers)
        http(url, sink, client)
    if not sink.received:
        raise UserError(f"{url}: expected a file, found 0 bytes; correct data.download.url")


class _Sink(io.BufferedWriter):
    """The output file of pooch's downloader and also its progress bar, which counts the received bytes."""

    total = 0  # bytes that the server announces; set by pooch

    def __init__(self, output: str, url: str, max_bytes: int, bars: ExitStack) -> None:
        super().__init__(io.FileIO(output, "w"))
        self._url, self._max_bytes, self._bars, self.received = url, max_bytes, bars, 0

    def write(self, chunk: Any) -> int:
        if not self.received:
            title, total = f"Downloading from {urlsplit(self._url).hostname}", max(self.total, 0) or None
            self._advance = self._bars.enter_context(progress_in_bytes(title, total))
        self.received += len(chunk)
        if max(self.received, self.total) > self._max_bytes:
            most = decimal(self._max_bytes)
            raise UserError(f"{self._url}: expected at most {most}, found more; raise max_download if you trust it")
        self._advance(len(chunk))
        return super().write(chunk)

    def update(self, count: int = 0) -> None:
        """Ignores pooch's count, which takes every chunk as full."""

    reset = update


def _is_transient(error: requests.RequestException) -> bool:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in (408, 425, 429, *range(500, 600))
    return isinstance(error, _TRANSIENT) and "CERTIFICATE_VERIFY_FAILED" not in str(error)


def _reason(error: Exception) -> str:
    """The error in one line, without the wrappers of requests and urllib3."""
    inner = error.args[0] if error.args else error
    return " ".join(str(getattr(inner, "reason", inner)).split())
