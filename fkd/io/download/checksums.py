"""Lists of SHA-256 checksums in the format of sha256sum (GNU coreutils), and their comparison with folders."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.terminal import progress_in_bytes

NAME = "SHA256SUMS"  # the list in a folder, of all its other files
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")


def read(path: Path) -> dict[str, str]:
    """Name of each file of a list, with forward slashes -> its checksum in hexadecimal digits."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected checksums as sha256sum writes them, found none ({error})") from error
    checksums = {}
    for number, line in enumerate(lines, start=1):
        if (match := _LINE.fullmatch(line)) is None:
            expected = "expected 64 digits, two spaces and a file's name"
            raise UserError(f"{path} line {number}: {expected}, found {line[:80]!r}; correct the line")
        checksums[match[2]] = match[1].lower()
    return checksums


def write(path: Path, checksums: Mapping[str, str]) -> None:
    """Writes a list for `sha256sum --check`."""
    with whole_file(path) as file:
        file.writelines(f"{checksums[name]}  {name}\n".encode() for name in sorted(checksums))


def of_folder(root: Path) -> dict[str, str]:
    """Checksums of all files below a folder, without its list."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and path != root / NAME]
    checksums = {}
    try:
        with progress_in_bytes("Verifying", sum(path.stat().st_size for path in paths)) as advance:
            for path in paths:
                with path.open("rb") as file:
                    checksums[path.relative_to(root).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
                    advance(file.tell())
    except OSError as error:
        raise UserError(f"{error.filename}: expected a readable file, found another ({error.strerror})") from error
    return checksums


def compare(expected: Mapping[str, str], found: Mapping[str, str], what: str, way_out: str) -> None:
    """Raises a UserError with changed, missing and extra files; it starts with `what` and ends with `way_out`."""
    names = {
        "changed": {name for name in expected.keys() & found.keys() if expected[name] != found[name]},
        "missing": expected.keys() - found.keys(),
        "extra": found.keys() - expected.keys(),
    }
    if differences := "; ".join(f"{len(some):,} {kind} ({_few(some)})" for kind, some in names.items() if some):
        raise UserError(
            f"{what}: expected {len(expected):,} files with their checksums, found {differences}; {way_out}"
        )


def _few(names: set[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in sorted(names)[:5]]
    return ", ".join(shown + ["..."] * (len(names) > 5))
