"""Splits that keep a subject's images together.

Frames of one video are alike: on them a net that was trained on some of the others would show memory instead of skill.
"""

import hashlib
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError

Rows = npt.NDArray[np.int64]


def shares(**held_out: float) -> dict[str, float]:
    """The share of rows in each split: those held out, by name, and the rest in "train".

    Raises:
        UserError: a share is not a number above 0, or nothing is left for training; names ``data.<split>_share``.
    """
    for name, share in held_out.items():
        if not isinstance(share, int | float) or not 0 < share < 1:
            raise UserError(f"data.{name}_share={share}: expected a number above 0 and below 1")
    if (total := sum(held_out.values())) >= 1:
        keys = " and ".join(f"data.{name}_share={share}" for name, share in held_out.items())
        raise UserError(f"{keys}: expected to leave rows for training, found {total:g} of 1 held out")
    return {"train": 1 - total, **held_out}


def by_subject(subjects: npt.NDArray[np.str_], shares: Mapping[str, float], seed: int) -> dict[str, Rows]:
    """Rows of each split, in ascending order: each subject in one split, sizes close to the shares.

    Subjects are sorted by a digest of seed and name, so that the split is the same on every machine and with every
    version of every library. Each goes to the split that lacks most rows. Sizes differ from the shares by about one
    subject's rows at most.

    Args:
        subjects: (N,) name of the subject in each row.
        shares: split -> share of the rows, adding up to 1.
        seed: of the order of subjects.

    Raises:
        UserError: there are fewer subjects than splits, or the seed is not a whole number.
    """
    if not isinstance(seed, int):
        raise UserError(f"data.split_seed={seed}: expected a whole number")
    numbers: dict[str, int] = {}  # sorting a million names takes ten times as long
    number = np.array([numbers.setdefault(name, len(numbers)) for name in subjects.tolist()], np.int64)
    names, counts = list(numbers), np.bincount(number)
    if len(names) < len(shares):
        raise UserError(
            f"data.split: expected at least {len(shares)} subjects, one for each of {', '.join(shares)}, "
            f"found {len(names)} ({', '.join(sorted(names)) or 'no rows'})"
        )
    lacking = {split: share * len(subjects) for split, share in shares.items()}
    members: dict[str, list[int]] = {split: [] for split in shares}
    hashed = [hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest() for name in names]
    order = sorted(range(len(names)), key=hashed.__getitem__)
    for place, i in enumerate(order):
        empty = [split for split in shares if not members[split]]
        choices = empty if len(order) - place <= len(empty) else list(shares)
        split = max(choices, key=lambda name: lacking[name])
        members[split].append(i)
        lacking[split] -= int(counts[i])
    return {split: np.flatnonzero(np.isin(number, chosen)) for split, chosen in members.items()}


def anonymous(subject: str) -> str:
    """The pseudonym of a subject, for files that are passed on.

    Whoever has a list of names can test whether one of them has this pseudonym.
    """
    is_pseudonym = subject.startswith("sha256:")
    return (
        subject
        if is_pseudonym
        else "sha256:" + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    )


def among(subjects: npt.NDArray[np.str_], others: Collection[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether each of the subjects (N,) is among others, which are names or pseudonyms."""
    known = {*others}
    return np.array([not known.isdisjoint((name, anonymous(name))) for name in subjects.tolist()], bool)


def shared_subjects(a: npt.NDArray[np.str_], b: npt.NDArray[np.str_]) -> list[str]:
    """Names of the subjects in both, in alphabetical order."""
    return sorted({*a.tolist()} & {*b.tolist()})
