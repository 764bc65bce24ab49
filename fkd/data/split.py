"""Splits that keep a subject's images together.

Frames of one video look alike: a net that has seen some of them is asked on the others what it remembers, not what it
can do.
"""

import hashlib
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from fkd.errors import UserError

Rows = npt.NDArray[np.int64]


def shares(**held_out: float) -> dict[str, float]:
    """The share of rows that each split asks for: those held out, by name, and what they leave to "train".

    Raises:
        UserError: a share is not a number above 0, or they leave nothing for training; names ``data.<split>_share``.
    """
    for name, share in held_out.items():
        if not isinstance(share, int | float) or not 0 < share < 1:
            raise UserError(f"data.{name}_share={share}: expected a number above 0 and below 1")
    if (total := sum(held_out.values())) >= 1:
        keys = " and ".join(f"data.{name}_share={share}" for name, share in held_out.items())
        raise UserError(f"{keys}: expected to leave rows for training, found {total:g} of 1 held out")
    return {"train": 1 - total, **held_out}


def by_subject(subjects: npt.NDArray[np.str_], shares: Mapping[str, float], seed: int) -> dict[str, Rows]:
    """Rows of each split, in ascending order: every row in one, every subject in one, sizes close to the shares.

    Subjects come in the order of a digest of seed and name, so that the split is the same on every machine and with
    every version of every library. Each goes to the split that lacks most rows. Sizes miss the shares by no more than
    about one subject's rows.

    Args:
        subjects: (N,) name of the subject in each row.
        shares: split -> share of the rows, adding up to 1.
        seed: another one gives another split.

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
            f"data.split: expected at least {len(shares)} subjects to give {', '.join(shares)} some of their own,"
            f" found {len(names)} ({', '.join(sorted(names)) or 'no rows'})"
        )
    lacking = {split: share * len(subjects) for split, share in shares.items()}
    members: dict[str, list[int]] = {split: [] for split in shares}
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(f"{seed}/{names[i]}".encode()).digest())
    for place, i in enumerate(order):
        empty = [split for split in shares if not members[split]]
        choices = empty if len(order) - place <= len(empty) else list(shares)
        split = max(choices, key=lambda name: lacking[name])
        members[split].append(i)
        lacking[split] -= int(counts[i])
    return {split: np.flatnonzero(np.isin(number, chosen)) for split, chosen in members.items()}


def anonymous(subject: str) -> str:
    """A pseudonym for files that go to others, the same for the same name.

    It hides no name from a guess: whoever has a list of names can test whether one is among them.
    """
    known = subject.startswith("sha256:")
    return subject if known else "sha256:" + hashlib.sha256(subject.encode()).hexdigest()[:16]


def among(subjects: npt.NDArray[np.str_], others: Collection[str]) -> npt.NDArray[np.bool_]:
    """(N,) which of subjects (N,) are among others, who are given by name or pseudonym."""
    known = {*others}
    return np.array([not known.isdisjoint((name, anonymous(name))) for name in subjects.tolist()], bool)


def shared_subjects(a: npt.NDArray[np.str_], b: npt.NDArray[np.str_]) -> list[str]:
    """Names of the subjects in both, in alphabetical order."""
    return sorted({*a.tolist()} & {*b.tolist()})
