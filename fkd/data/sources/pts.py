"""Images with a .pts file beside each, as 300-W and its parts are distributed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import below, check_first_pixel, named, number, text
from fkd.errors import UserError, short
from fkd.io import images
from fkd.io.atomic import walk


def pts(
    files: FileSet,
    train: Sequence[str] | None,
    val: Sequence[str] | None,
    test: Sequence[str] | None,
    first_pixel: int,
) -> Faces:
    """All faces below some folders.

    The format (version 1) is that of Cootes' tools: ``version``, ``n_points``, then x and y of each point between
    braces. It does not define the first pixel's coordinates. 300-W was labelled with MATLAB tools, which count pixels
    from 1, and menpo, by the makers of 300-W, subtracts 1 (``menpo.io.input.landmark``, PTSImporter).

    Args:
        files: the dataset.
        train, val, test: folders below its root. All folders in them are read, too, except those of another split. For
            None see `FileSet`.
        first_pixel: coordinates of the first pixel's centre in the files, 1 or 0.

    Raises:
        UserError: an error of a file, by line; a file without an image, or with two.
    """
    check_first_pixel(first_pixel)
    folders = {
        split: _folders(files.folder, names, split)
        for split, names in named({"train": train, "val": val, "test": test}).items()
    }
    rows = (row for split in folders for row in _rows(files.folder, folders, split, first_pixel))
    return files.faces(Listing.of(rows, files.count), folders)


def _folders(root: Path, names: Sequence[str], split: str) -> list[Path]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise UserError(f"data.{split}={names}: expected a list of folders, such as [{names}]")
    for name in names:
        if not below(root, name, f"data.{split}", "a folder").is_dir():
            raise UserError(f"data.{split}: expected a folder below {root}, found no {name}")
    return [root / name for name in names]


def _rows(root: Path, folders: Mapping[str, Sequence[Path]], split: str, first_pixel: int) -> Iterator[Row]:
    others = [folder for name, those in folders.items() if name != split for folder in those]
    for folder in folders[split]:
        inner = {other for other in others if folder in other.parents}
        found = False
        for parent, names in walk(folder):
            labels = [name for name in names if name.lower().endswith(".pts")]
            if not labels or inner & {parent, *parent.parents}:
                continue
            found = True
            by_stem = defaultdict(list)
            for name in names:
                if (path := Path(name)).suffix.lower() in images.SUFFIXES:
                    by_stem[path.stem].append(name)
            for name in labels:
                keypoints = _points(parent / name) - np.float32(first_pixel)
                if len(beside := by_stem[Path(name).stem]) != 1:
                    shown = ", ".join(beside) or "none"
                    raise UserError(f"{parent / name}: expected one image of this name beside it, found {shown}")
                image = (parent / beside[0]).relative_to(root).as_posix()
                yield Row(str(parent / name), image, keypoints, np.ones(len(keypoints), bool), split)
        if not found:
            raise UserError(f"data.{split}: expected .pts files below {folder}, found none")


def _points(path: Path) -> np.ndarray:
    lines = [(i, line.split()) for i, line in enumerate(text(path, "a .pts file", "").splitlines(), 1) if line.strip()]
    head = {}
    while lines and lines[0][1] != ["{"]:
        line, words = lines.pop(0)
        key, colon, value = " ".join(words).partition(":")
        if not colon:
            raise UserError(f"{path} line {line}: expected version, n_points or {{, found {short(' '.join(words))}")
        head[key.strip().lower()] = value.strip()
    if not lines or lines[-1][1] != ["}"]:
        raise UserError(
            f"{path}: expected points between {{ and }}, found no {'{' if not lines else '}'}; is it cut off?"
        )
    points = []
    for line, words in lines[1:-1]:
        if len(words) != 2 or not np.isfinite(values := [number(word) for word in words]).all():
            raise UserError(f"{path} line {line}: expected x and y of a point, found {short(' '.join(words))}")
        points.append(values)
    if head.get("version", "1") not in ("1", "1.0"):
        raise UserError(f"{path}: expected version 1, found {head['version']}")
    if (count := head.get("n_points")) != str(len(points)):
        raise UserError(f"{path}: expected n_points: {len(points)}, as there are, found {count}; is it cut off?")
    return np.array(points, np.float32).reshape(-1, 2)
