"""Udacity's facial keypoints: frames of the YouTube Faces database with 68 points (the P1_Facial_Keypoints project)."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from fkd import images
from fkd.data.cache import ImageCache, files_key
from fkd.data.faces import Faces, remark_on_people
from fkd.data.split import Rows, by_subject, shares
from fkd.errors import UserError
from fkd.schema import IBUG68
from fkd.types import Annotations, Points

SHIFT_PIXELS, SHIFT_SHARE = 0.2, 0.0274
"""The published labels lie this far to the right of the true place: pixels, and a share of the outer-eye distance.

The labels come from a 64 x 64 heatmap network and lie on its lattice; the shift is about half of the lattice's cell.
Measured with a mirror test: a net was trained on the published labels without mirrored copies, and its prediction on a
picture compared with the mirrored-back prediction on the mirror image. A net without a shift gives the same twice, so
half the horizontal difference is the shift it learned; over all faces it is a straight line in the outer-eye distance.
Training with mirrored copies of labels that still have the shift teaches two answers at once.
"""

_CSV = {"training": "training_frames_keypoints.csv", "test": "test_frames_keypoints.csv"}
_NUMBERS = 2 * len(IBUG68)
_SOURCE = (
    "download https://github.com/udacity/P1_Facial_Keypoints and put its `data` folder at data/udacity,"
    " or pass data.root=DIR"
)


def udacity(
    root: str,
    split: str,
    val_share: float,
    test_share: float,
    seed: int,
    label_shift: bool,
    channels: int,
    cache_dir: str,
) -> Faces:
    """The annotated frames under a folder; pictures that no row names are ignored, points outside a frame are kept.

    Args:
        root: folder with ``training_frames_keypoints.csv``, ``training/``, ``test_frames_keypoints.csv`` and ``test/``.
        split: "official": the two files as published, validation held out of the training file by person. Everybody in
            the published test file is in the training file, too. "subject": all rows, every person in one split.
        val_share: share of the rows (of the training file, of all) for validation.
        test_share: share of all rows for the test, with split="subject".
        seed: of who is held out.
        label_shift: take the labels' known shift off (the table says how much, so that scoring can put it back).
        channels: 1 for grey pictures, 3 for RGB.
        cache_dir: where the decoded pictures are kept.

    Raises:
        UserError: what the files or the arguments lack, by file and line or by config key.
    """
    if split not in ("official", "subject"):
        raise UserError(f"data.split={split}: expected official or subject")
    if not isinstance(root, str):
        raise UserError(f"data.root={root}: expected a folder; {_SOURCE}")
    if not isinstance(label_shift, bool):
        raise UserError(f"data.label_shift={label_shift}: expected true or false")
    folder = Path(root)
    if not folder.is_dir():
        raise UserError(f"{root}: found no such folder; {_SOURCE}")
    training, test = ([*_rows(folder, part)] for part in _CSV)
    rows = training + test
    paths = [folder / row.path for row in rows]
    subjects = np.array([row.subject for row in rows])
    if split == "official":
        held = by_subject(subjects[: len(training)], shares(val=val_share), seed)
        splits = {**held, "test": np.arange(len(training), len(rows), dtype=np.int64)}
    else:
        splits = by_subject(subjects, shares(val=val_share, test=test_share), seed)
    published = np.stack([row.keypoints for row in rows])
    shift = np.full((len(rows), 2), (SHIFT_PIXELS, SHIFT_SHARE) if label_shift else 0, np.float32)
    table = Annotations(
        schema=IBUG68,
        paths=np.array([row.path for row in rows]),
        images=np.arange(len(rows), dtype=np.int64),
        keypoints=IBUG68.shifted(published, -shift),
        visible=np.ones(published.shape[:2], bool),
        subjects=subjects,
        label_shift=shift,
    )
    cache = ImageCache.build(
        Path(cache_dir),
        f"udacity-{files_key(paths, channels)}",
        len(paths),
        lambda i: images.read(paths[i], channels),
        "Decoding pictures",
    )
    return Faces(table, splits, cache, "udacity", _remarks(table, splits, label_shift))


def _remarks(table: Annotations, splits: dict[str, Rows], label_shift: bool) -> tuple[str, ...]:
    people = remark_on_people(table, splits)
    if not label_shift:
        return (people,)
    shift = f"{SHIFT_PIXELS} px + {SHIFT_SHARE:.2%} of the outer-eye distance"
    return (people, f"published labels lie {shift} to the right; taken off here (data.label_shift=false leaves them)")


@dataclass(frozen=True)
class _Row:
    path: str  # below the root
    subject: str
    keypoints: Points  # (68, 2)


def _rows(root: Path, part: str) -> Iterator[_Row]:
    """The rows of one CSV file, checked."""
    path = root / _CSV[part]
    seen: dict[str, int] = {}
    for line, cells in _lines(path):
        where = f"{path} line {line}"
        if len(cells) != 1 + _NUMBERS:
            raise UserError(f"{where}: expected 1 + {_NUMBERS} columns, found {len(cells)}")
        name = cells[0]
        pieces = PureWindowsPath(name)  # knows / and \\ and drive letters
        if not name.strip() or pieces.anchor or ".." in pieces.parts:
            raise UserError(f"{where}: expected the name of a picture below {part}/, found {name!r}")
        if name in seen:
            raise UserError(f"{where}: {name} has a row already, line {seen[name]}; remove one")
        seen[name] = line
        subject = pieces.name.rpartition("_")[0]
        if not subject:
            raise UserError(
                f"{where}: expected a name like Person_Name_10.jpg, the person before the last _, found {name!r}"
            )
        if not (root / part / name).is_file():
            raise UserError(f"{where}: the picture {root / part / name} is missing; {_SOURCE}")
        yield _Row(f"{part}/{name}", subject, _keypoints(cells[1:], where))
    if not seen:
        raise UserError(f"{path}: expected rows, found none; {_SOURCE}")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line below the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if PureWindowsPath(header[0] if header else "").suffix:
                raise UserError(f"{path} line 1: expected a header, found the row of {header[0]}")
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except OSError as error:
        raise UserError(f"{path}: expected a CSV file, found none ({error.strerror}); {_SOURCE}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a CSV file, found something else ({error})") from error


def _keypoints(cells: list[str], where: str) -> Points:
    values = np.array([_number(cell) for cell in cells])
    if (wrong := np.flatnonzero(~(np.abs(values) < 1e6))).size:  # not finite, or nowhere near any picture
        bad = int(wrong[0])
        axis = "xy"[bad % 2]
        raise UserError(
            f"{where}: expected a number as {axis} of point {bad // 2} (column {bad}), found {cells[bad]!r}"
        )
    keypoints = values.reshape(-1, 2).astype(np.float32)
    if not IBUG68.interocular(keypoints) > 0:
        first, second = IBUG68.normaliser
        raise UserError(f"{where}: expected two outer eye corners, found points {first} and {second} at the same place")
    return keypoints


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
