"""Udacity's facial keypoints: frames of the YouTube Faces database with 68 points (the P1_Facial_Keypoints project)."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces, remark_on_subjects
from fkd.data.sources.annotation_list import Listing
from fkd.data.sources.csv_table import Table
from fkd.data.sources.fileset import FileSet
from fkd.errors import UserError

SHIFT_PIXELS, SHIFT_SHARE = 0.2, 0.0274
"""The published labels lie this far to the right of the true place: pixels, and a share of the outer-eye distance.

The labels come from a 64 x 64 heatmap network and lie on its grid; the shift is about half of a cell. Measured with a
mirror test: a net was trained on the published labels without mirrored copies, and its prediction on an image was
compared with the mirrored-back prediction on the mirror image. Without a shift both are the same, so half the
horizontal difference is the shift that the net learned; over all faces it is linear in the outer-eye distance.
Training with mirrored copies of shifted labels would teach two contradicting answers.
"""

_CSV = {"training": "training_frames_keypoints.csv", "test": "test_frames_keypoints.csv"}
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
    exclude: str | None = None,  # older configs lack it
) -> Faces:
    """The annotated frames below a folder; images without a row are ignored, points outside a frame are kept.

    Args:
        root: folder with ``training_frames_keypoints.csv``, ``training/``, ``test_frames_keypoints.csv`` and ``test/``.
        split: "official": the two files as published, validation held out of the training file by subject. All subjects
            of the published test file are in the training file, too. "subject": all rows, each subject in one split.
        val_share: share of the rows (of the training file, of all) for validation.
        test_share: share of all rows for the test, with split="subject".
        seed: of who is held out.
        label_shift: subtract the labels' known shift (the table keeps it, so that scoring can add it again).
        channels: 1 for grey images, 3 for RGB.
        cache_dir: folder of the decoded images.
        exclude: a file of faces to leave out, see `fkd.data.sources.exclusion_list`; or None.

    Raises:
        UserError: an error of a file, by line, or of an argument, by its config key.
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
    tables = {part: Table(files, files.folder / name, 0, 1, folder=part, may_lack=False) for part, name in _CSV.items()}
    listing = Listing.joined([table.listing("test" if part in named else "train") for part, table in tables.items()])
    seen: dict[str, int] = {}
    for row, image in enumerate(listing.images):
        if (first := seen.setdefault(image, row)) != row:
            raise UserError(f"{listing.where(row)}: {image} has a row already, {listing.where(first)}; remove one")
    faces = files.faces(listing, named)
    table, remarks = faces.table, faces.remarks[1:]
    subjects = remark_on_subjects(table, faces.splits, " (data.split=subject gives a subject-disjoint test)")
    if not label_shift:
        return replace(faces, remarks=(subjects, *remarks))
    shift = np.full((len(table), 2), (SHIFT_PIXELS, SHIFT_SHARE), np.float32)
    table = replace(table, keypoints=table.schema.shifted(table.keypoints, -shift), label_shift=shift)
    amount = f"{SHIFT_PIXELS} px + {SHIFT_SHARE:.2%} of the outer-eye distance"
    shifted = f"published labels lie {amount} to the right; subtracted here (data.label_shift=false leaves them)"
    return replace(faces, table=table, remarks=(subjects, shifted, *remarks))
