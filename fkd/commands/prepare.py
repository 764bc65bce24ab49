"""Downloads a data set, unpacks it and loads it; verifies the files of a set that exists already.

fkd prepare data=udacity
fkd prepare data=udacity data.root=DIR
"""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.config import checks
from fkd.errors import Interrupted, UserError
from fkd.io.atomic import is_locked, locked
from fkd.io.download import checksums
from fkd.io.download.archives import unpacked
from fkd.io.download.client import fetch
from fkd.io.folders import unless_wrong
from fkd.terminal import show

GB = 10**9


@command("prepare")
def main(cfg: DictConfig) -> None:
    download = cfg.data.get("download")
    if not isinstance(download, DictConfig):
        raise UserError(
            f"data={cfg.data.name}: expected a set with data.download.url, found one without: it is synthetic or only "
            "given out by its owners (see data/README.md)"
        )
    root = checks.path(cfg, "data.root").resolve()
    listed = None if download.get("sums") is None else checksums.read(checks.path(cfg, "data.download.sums"))
    if is_filled(root):
        if any(path.exists() for path in beside(root)):  # of a command that was killed at its end
            with alone(root) as work:
                shutil.rmtree(work, ignore_errors=True)
        verify(root, listed)
    else:
        obtain(cfg, root, listed)

    from fkd.config.faces import build_faces  # here, since it loads torch: downloads start and --help answers at once

    show(*build_faces(cfg).remarks)
    show(f"ready: fkd train {shlex.join(of_the_set(HydraConfig.get().overrides.task))}")


def of_the_set(overrides: Sequence[str]) -> list[str]:
    """The overrides that a training needs, too."""
    kept = ("data=", "data.", "schema=", "channels=")
    return [text for text in overrides if text.startswith(kept) and not text.startswith("data.download")]


def is_filled(root: Path) -> bool:
    try:
        return root.exists() and any(root.iterdir())
    except OSError as error:
        raise UserError(f"data.root={root}: expected a folder, found none ({error.strerror}); give another") from error


def verify(root: Path, listed: dict[str, str] | None) -> None:
    """Compare the files of an existing set with their checksums."""
    if listed is None and not (root / checksums.NAME).is_file():
        raise UserError(
            f"data.root={root}: expected an empty folder, none, or one with {checksums.NAME}, found other files, which "
            "are left unchanged; train on them or give another data.root"
        )
    listed = checksums.read(root / checksums.NAME) if listed is None else listed
    way_out = "move the folder away and prepare the set again"
    checksums.compare(listed, checksums.of_folder(root), f"data.root={root}", way_out)
    show(f"{root}: {len(listed):,} files have their checksums")


def obtain(cfg: DictConfig, root: Path, listed: dict[str, str] | None) -> None:
    """Download and unpack a set; temporary files are in one folder beside the root."""
    download = cfg.data.download
    known_hash, part = (None if download.get(key) is None else str(download[key]) for key in ("hash", "folder"))
    patience: dict[str, Any] = {
        "max_bytes": int(checks.number(cfg, "max_download", least=0) * GB),
        "tries": checks.whole(cfg, "tries", least=1),
        "pause": checks.number(cfg, "pause", least=0),
        "timeout": checks.number(cfg, "timeout", least=0.1),
    }
    bounds: dict[str, Any] = {
        "max_bytes": int(checks.number(cfg, "max_unpacked", least=0) * GB),
        "max_files": checks.whole(cfg, "max_files", least=1),
        "max_ratio": checks.number(cfg, "max_ratio", least=1),
    }
    with unless_wrong(root.parent), alone(root) as work:
        try:
            archive = fetch(str(download.get("url")), work, known_hash, **patience)
            with unpacked(archive, root, part, **bounds) as content:
                found = checksums.of_folder(content)
                if listed is not None:
                    way_out = f"delete {archive} to download it again"
                    checksums.compare(listed, found, f"data.download.sums={download.sums}", way_out)
                checksums.write(content / checksums.NAME, found)  # replaces a list in the archive
        except KeyboardInterrupt:
            kept = f"; the archive is kept in {work}" if work.exists() else ""
            raise Interrupted(f"interrupted; give the same command to start again{kept}") from None
        shutil.rmtree(work)
    show(f"{root}: {len(found):,} files, listed with their checksums in {checksums.NAME}")


def beside(root: Path) -> tuple[Path, Path]:
    """The lock of a folder, and the folder of the files that are needed to make it."""
    return root.with_name(f".{root.name}.lock"), root.with_name(f".{root.name}.download")


@contextmanager
def alone(root: Path) -> Iterator[Path]:
    """Refuse to prepare a folder while another command does; gives the folder of temporary files."""
    lock, work = beside(root)
    with locked(lock, wait=False) as held:
        if not held and is_locked(lock):
            raise UserError(
                f"data.root={root}: expected one command at a time, found another one that prepares it; wait for it"
            )
        try:
            yield work
        finally:
            lock.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
