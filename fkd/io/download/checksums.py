"""Lists of SHA-256 sums in the format of sha256sum (GNU coreutils), and folders checked against them."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fkd.errors import UserError
from fkd.files import whole_file
from fkd.progress import progress_in_bytes

NAME = "SHA256SUMS"
"""The file at the root of a folder that lists all others in it."""
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")
_SHOWN = 5


def read(path: Path) -> dict[str, str]:
    """Name of a file, with forward slashes -> hexadecimal digits.

    Raises:
        UserError: there is no such file, or a line is none of sha256sum's.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected sums as sha256sum writes them, found none ({error})") from error
    digests = {}
    for number, line in enumerate(lines, start=1):
        if (match := _LINE.fullmatch(line)) is None:
            raise UserError(
                f"{path} line {number}: expected 64 digits, two spaces and a file's name, found {line[:80]!r}"
            )
        digests[match[2]] = match[1].lower()
    return digests


def write(path: Path, digests: Mapping[str, str]) -> None:
    """Writes what `sha256sum --check` reads."""
    with whole_file(path) as file:
        file.writelines(f"{digests[name]}  {name}\n".encode() for name in sorted(digests))


def of_folder(root: Path) -> dict[str, str]:
    """The sums of all files below a folder but of its own list.

    Raises:
        UserError: a file cannot be read.
    """
    try:
        sizes = {path: path.stat().st_size for path in _files(root)}
        digests = {}
        with progress_in_bytes("Verifying", sum(sizes.values())) as advance:
            for path, size in sizes.items():
                with path.open("rb") as file:
                    digests[path.relative_to(root).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
                advance(size)
    except OSError as error:
        raise UserError(f"{error.filename}: expected a file, found what cannot be read ({error.strerror})") from error
    return digests


def compare(expected: Mapping[str, str], found: Mapping[str, str], what: str, way_out: str) -> None:
    """Refuses files that are not those of a list; `what` begins the message and `way_out` ends it.

    Raises:
        UserError: naming what changed, is missing or extra.
    """
    differences = {
        "changed": [name for name in expected if name in found and expected[name] != found[name]],
        "missing": [name for name in expected if name not in found],
        "extra": [name for name in found if name not in expected],
    }
    if any(differences.values()):
        said = "; ".join(f"{len(names):,} {kind} ({_few(names)})" for kind, names in differences.items() if names)
        raise UserError(f"{what}: expected {len(expected):,} files with their sums, found {said}; {way_out}")


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file() and path != root / NAME)


def _few(names: list[str]) -> str:
    shown = (name if name.isprintable() else ascii(name) for name in sorted(names)[:_SHOWN])
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")
