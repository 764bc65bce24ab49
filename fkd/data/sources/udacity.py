"""Udacity's facial keypoints: frames of the YouTube Faces database with 68 points (the P1_Facial_Keypoints project)."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces, remark_on_subjects
from fkd.data.sources.annotation_list import Listing
from fkd.data.sources.csv_table import Columns, Table
from fkd.data.sources.fileset import FileSet
from fkd.errors import UserError
from fkd.types import Annotations

SHIFT_PIXELS, SHIFT_SHARE = 0.2, 0.0274
"""The published labels lie this far to the right of the true place: pixels, and a share of the outer-eye distance.

The labels come from a 64 x 64 heatmap network and lie on its grid; the shift is about half of a cell.
Measured with a mirror test: a net was trained on the published labels without mirrored copies, and its prediction on a
image compared with the mirrored-back prediction on the mirror image. A net without a shift gives the same twice, so
half the horizontal difference is the shift it learned; over all faces it is a straight line in the outer-eye distance.
Training with mirrored copies of labels that still have the shift teaches two answers at once.
"""

_CSV = {"training": "training_frames_keypoints.csv", "test": "test_frames_keypoints.csv"}
_COLUMNS = Columns(image=0, points=1, subject=None, may_lack=False)
_SUBJECT = r"([^/]+)_[^/_]*$"  # training/Subject_Name_10.jpg
_SOURCE = (
    "python scripts/prepare.py data=udacity downloads it from https://github.com/udacity/P1_Facial_Keypoints; "
    "or pass data.root=DIR"
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
    exclude: str | None = None,  # which runs from before it do not name
) -> Faces:
    """The annotated frames under a folder; images that no row names are ignored, points outside a frame are kept.

    Args:
        root: folder with ``training_frames_keypoints.csv``, ``training/``, ``test_frames_keypoints.csv`` and ``test/``.
        split: "official": the two files as published, validation held out of the training file by subject. Everybody in
            the published test file is in the training file, too. "subject": all rows, every subject in one split.
        val_share: share of the rows (of the training file, of all) for validation.
        test_share: share of all rows for the test, with split="subject".
        seed: of who is held out.
        label_shift: take the labels' known shift off (the table says how much, so that scoring can put it back).
        channels: 1 for grey images, 3 for RGB.
        cache_dir: where the decoded images are kept.
        exclude: a file of faces to leave out, see `fkd.data.sources.exclusion_list`; or None.

    Raises:
        UserError: what the files or the arguments lack, by file and line or by config key.
    """
    if split not in ("official", "subject"):
        raise UserError(f"data.split={split}: expected official or subject")
    if not isinstance(label_shift, bool):
        raise UserError(f"data.label_shift={label_shift}: expected true or false")
    if not isinstance(root, str):
        raise UserError(f"data.root={root}: expected a folder; {_SOURCE}")
    for path in (Path(root), *(Path(root) / name for name in _CSV.values())):
        if not path.exists():
            raise UserError(f"data.root={root}: expected {path}, found no such file or folder; {_SOURCE}")
    files = FileSet(
        name="udacity",
        root=root,
        schema="ibug68",
        mapping=None,
        subject=_SUBJECT,
        exclude=exclude,
        val_share=val_share,
        test_share=test_share,
        split_seed=seed,
        channels=channels,
        cache_dir=cache_dir,
    )
    named = ["train", "test"] if split == "official" else ["train"]
    parts = [
        Table(files, files.folder / name, _COLUMNS, part).listing("test" if part in named else "train")
        for part, name in _CSV.items()
    ]
    faces = files.faces(_with_one_face_each(Listing.joined(parts)), named)
    if label_shift:
        faces = replace(faces, table=_without_shift(faces.table))
    return replace(faces, remarks=(*_remarks(faces, label_shift), *faces.remarks[1:]))


def _with_one_face_each(listing: Listing) -> Listing:
    """The same; a frame that is there twice is a mistake."""
    seen: dict[str, int] = {}
    for row, image in enumerate(listing.images):
        if (first := seen.setdefault(image, row)) != row:
            raise UserError(f"{listing.where(row)}: {image} has a row already, {listing.where(first)}; remove one")
    return listing


def _without_shift(table: Annotations) -> Annotations:
    shift = np.full((len(table), 2), (SHIFT_PIXELS, SHIFT_SHARE), np.float32)
    return replace(table, keypoints=table.schema.shifted(table.keypoints, -shift), label_shift=shift)


def _remarks(faces: Faces, label_shift: bool) -> tuple[str, ...]:
    subjects = remark_on_subjects(faces.table, faces.splits, " (data.split=subject gives a subject-disjoint test)")
    if not label_shift:
        return (subjects,)
    shift = f"{SHIFT_PIXELS} px + {SHIFT_SHARE:.2%} of the outer-eye distance"
    return (subjects, f"published labels lie {shift} to the right; taken off here (data.label_shift=false leaves them)")
