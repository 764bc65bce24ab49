"""Subjects in more than one split."""

import numpy as np

from fkd.data.face_data import SPLITS, Faces
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.sampling import split_numbers

_TRAIN, _VAL, _TEST = range(len(SPLITS))
_ADVICE = "Split by subject; for sources that offer it, data.split=subject does."
_IN_TEST = Kind("subjects", "Subjects in more than one split", "fault", _ADVICE)
_IN_VAL = Kind("subjects", "Subjects in more than one split", "warning", _ADVICE)


def shared_subjects(faces: Faces) -> Finding | None:
    """Subjects in several splits: a net remembers their faces, so that scores on them measure memory, too."""
    names, subject = np.unique(faces.table.subjects, return_inverse=True)
    numbers = split_numbers(faces)
    faces_in = np.stack([np.bincount(subject[numbers == split], minlength=len(names)) for split in range(len(SPLITS))])
    shared = (faces_in > 0).sum(axis=0) > 1
    if not shared.any():
        return None
    pairs = [(_TEST, _TRAIN), (_TEST, _VAL), (_VAL, _TRAIN)]
    both = {pair: int((faces_in[list(pair)] > 0).all(axis=0).sum()) for pair in pairs}
    parts = [
        f"{count:,} of {(faces_in[held] > 0).sum():,} subjects of {SPLITS[held]} are in {SPLITS[other]}, too"
        for (held, other), count in both.items()
        if count
    ]
    in_test = both[_TEST, _TRAIN] + both[_TEST, _VAL] > 0
    held = np.flatnonzero(shared[subject] & (numbers == (_TEST if in_test else _VAL)))
    one_each = held[np.unique(subject[held], return_index=True)[1]]
    return (_IN_TEST if in_test else _IN_VAL).finding(
        f"{'; '.join(parts)}. Scores on them measure memory of faces as well as skill.",
        len(names),
        one_each,
        faces_in[_TRAIN, subject[one_each]],
        count=int(shared.sum()),
        figures={f"{SPLITS[held]}_in_{SPLITS[other]}": float(count) for (held, other), count in both.items()},
    )
