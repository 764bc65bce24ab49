"""Subjects in more than one split."""

import numpy as np

from fkd.data.face_data import SPLITS, Faces
from fkd.dataset_report.checks.finding import Finding
from fkd.dataset_report.checks.sampling import examples, of, split_numbers

_TRAIN, _VAL, _TEST = range(len(SPLITS))


def shared_subjects(faces: Faces) -> Finding | None:
    """Who is in more than one split: a net remembers them, and a score on them measures that as well as skill."""
    names, subject = np.unique(faces.table.subjects, return_inverse=True)
    numbers = split_numbers(faces)
    faces_in = np.stack([np.bincount(subject[numbers == split], minlength=len(names)) for split in range(len(SPLITS))])
    shared = (faces_in > 0).sum(axis=0) > 1
    if not shared.any():
        return None
    pairs = [(_TEST, _TRAIN), (_TEST, _VAL), (_VAL, _TRAIN)]
    both = {pair: int((faces_in[list(pair)] > 0).all(axis=0).sum()) for pair in pairs}
    told = [
        f"{of(count, int((faces_in[held] > 0).sum()), 'subjects')} of {SPLITS[held]} are in {SPLITS[other]}, too"
        for (held, other), count in both.items()
        if count
    ]
    in_test = both[_TEST, _TRAIN] + both[_TEST, _VAL] > 0
    held = np.flatnonzero(shared[subject] & (numbers == (_TEST if in_test else _VAL)))
    _, firsts = np.unique(subject[held], return_index=True)  # one face of each
    return Finding(
        name="subjects",
        title="Subjects in more than one split",
        severity="fault" if in_test else "warning",
        count=int(shared.sum()),
        total=len(names),
        text=f"{'; '.join(told)}. Scores on them measure memory of faces as well as skill.",
        advice="Split by subject; for sources that offer it, data.split=subject does.",
        rows=examples(held[firsts], faces_in[_TRAIN, subject[held[firsts]]]),
        figures={f"{SPLITS[held]}_in_{SPLITS[other]}": float(count) for (held, other), count in both.items()},
    )
