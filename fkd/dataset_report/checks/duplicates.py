"""Images, or faces, that are in more than one split."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.finding import EXAMPLES, Finding
from fkd.dataset_report.checks.perceptual_hash import Bits, contents, face_hashes
from fkd.dataset_report.checks.sampling import sample, split_numbers

ALIKE = 16
"""Different bits, of 143, up to which two faces count as the same image.

Measured on 3,775 frames of Udacity's set: among the seven million pairs of different subjects the closest differ in 26
bits, and a face differs from itself in at most 10 when saved as JPEG of quality 30, in at most 18 (19 of 20 faces) when
halved in size. With the 8 x 8 frequencies of others the two overlap: 6 bits between subjects, 12 after halving.
"""
_MOST = 20_000  # faces looked at
_PIECE = 500
_Distances = npt.NDArray[np.float32]
_ADVICE = "Leave these training faces out, or split by subject (data.split=subject, where the source offers it)."


@dataclass(frozen=True)
class _Twins:
    """Held-out faces with a twin in a split that is learned from, as rows of the table.

    Of all pairs, which are as many as the square of the faces where a video stands still, only what is told is kept.

    Attributes:
        nearest: (M, 2) each held-out row and its most similar twin (the first of several), the most alike first.
        others: rows in ascending order that are a twin of a held-out one.
        pairs: how many there are.
    """

    nearest: Rows
    others: Rows
    pairs: int


def repeated(faces: Faces) -> list[Finding]:
    """Images in more than one split: pixel for pixel, and nearly so."""
    looked = sample(np.arange(len(faces.table)), _MOST)
    content = contents(faces, looked)
    bits, shows = face_hashes(faces, looked)
    numbers = split_numbers(faces)[looked]
    same = _across(numbers, looked, lambda a, b: np.where(content[a][:, None] == content[b], np.float32(0), np.inf))

    def alike(a: Rows, b: Rows) -> _Distances:
        different = _different(bits[a], bits[b])
        counts = (different <= ALIKE) & shows[a][:, None] & shows[b] & (content[a][:, None] != content[b])
        return np.where(counts, different, np.inf)

    similar = _across(numbers, looked, alike)
    held = int((numbers > 0).sum())
    part = f" Looked at: {len(looked):,} faces drawn at random." if len(looked) < len(faces.table) else ""
    return [finding(faces, twins, held, part) for twins, finding in ((same, _same), (similar, _alike)) if twins.pairs]


def _same(faces: Faces, twins: _Twins, held: int, part: str) -> Finding:
    first = twins.nearest
    return Finding(
        name="identical",
        title="The same image in more than one split",
        severity="fault",
        count=len(first),
        total=held,
        text=f"{len(first):,} of {held:,} held-out faces are on images that another split has pixel for pixel.{part}",
        advice=_ADVICE,
        rows=tuple(first.ravel()[:EXAMPLES].tolist()),
        exclude=tuple(twins.others.tolist()),
        figures={"pairs": float(twins.pairs)},
    )


def _alike(faces: Faces, twins: _Twins, held: int, part: str) -> Finding:
    first = twins.nearest
    subjects = faces.table.subjects[first]
    others = int((subjects[:, 0] != subjects[:, 1]).sum())
    return Finding(
        name="similar",
        title="Nearly the same face in more than one split",
        severity="warning",
        count=len(first),
        total=held,
        text=(
            f"{len(first):,} of {held:,} held-out faces look almost like one of another split,"
            f" {others:,} of them like one of another name.{part}"
        ),
        advice="Split by subject (data.split=subject, where the source offers it), or read scores with care.",
        rows=tuple(first.ravel()[:EXAMPLES].tolist()),
        exclude=(),  # the next frames of a video are good training faces
        figures={"pairs": float(twins.pairs), "of_other_names": float(others)},
    )


def _across(numbers: npt.NDArray[np.int8], rows: Rows, distance: Callable[[Rows, Rows], _Distances]) -> _Twins:
    """Twins of test in train, of test in val and of val in train.

    Args:
        numbers: (N,) split of each place.
        rows: (N,) the row of the table at each place.
        distance: places (A,) and (B,) -> (A, B) how far apart they are; infinite where they are no twins.
    """
    nearest, twin, turn = (np.full(len(rows), value) for value in (np.inf, -1, -1))
    is_twin, pairs = np.zeros(len(rows), bool), 0
    for number, (high, low) in enumerate(((2, 0), (2, 1), (1, 0))):
        below, above = np.flatnonzero(numbers == low), np.flatnonzero(numbers == high)
        for piece in np.split(above, range(_PIECE, len(above), _PIECE)) if below.size else ():
            apart = distance(piece, below)
            first, least = below[apart.argmin(axis=1)], apart.min(axis=1)
            closer = least < nearest[piece]
            chosen = piece[closer]
            nearest[chosen], twin[chosen], turn[chosen] = least[closer], first[closer], number
            counts = np.isfinite(apart)
            is_twin[below[counts.any(axis=0)]] = True
            pairs += int(counts.sum())
    held = np.flatnonzero(np.isfinite(nearest))
    held = held[np.lexsort((turn[held], nearest[held]))]
    return _Twins(rows[np.stack([held, twin[held]], axis=1)], rows[is_twin], pairs)


def _different(one: Bits, other: Bits) -> _Distances:
    """(A, B) number of bits in which hashes (A, n) and (B, n) differ."""
    a, b = (np.where(bits, 1, -1).astype(np.float32) for bits in (one, other))
    different: _Distances = (a.shape[1] - a @ b.T) / 2
    return different
