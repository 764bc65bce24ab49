"""Images, or faces, that are in more than one split."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.perceptual_hash import Bits, contents, face_hashes
from fkd.dataset_report.checks.sampling import sample, split_numbers

ALIKE = 16
"""Different bits, of 143, up to which two faces count as the same image.

Measured on 3,775 frames of Udacity's set: the closest of seven million pairs of different subjects differ in 26 bits;
a face differs from itself in at most 10 as a JPEG of quality 30, and (19 of 20 faces) in at most 18 at half the size.
With 8 x 8 frequencies the two ranges overlap: 6 bits between subjects, 12 at half the size.
"""
_MOST = 20_000  # faces
_PIECE = 500
_Distances = npt.NDArray[np.float32]

_IDENTICAL = Kind(
    "identical",
    "The same image in more than one split",
    "fault",
    "Leave these training faces out, or split by subject (data.split=subject, where the source offers it).",
)
_SIMILAR = Kind(
    "similar",
    "Nearly the same face in more than one split",
    "warning",
    "Split by subject (data.split=subject, where the source offers it), or read scores with care.",
)


@dataclass(frozen=True)
class _Twins:
    """Held-out faces with a twin in a split that a net is trained or selected on, as rows of the table.

    Where a video stands still there are as many pairs as the square of its faces, so they are not kept.

    Attributes:
        nearest: (M, 2) each held-out row and its most similar twin (the first of several), the most similar pair first.
        others: rows in ascending order that are a twin of a held-out one.
        pairs: the number of all pairs.
    """

    nearest: Rows
    others: Rows
    pairs: int


def repeated(faces: Faces) -> list[Finding]:
    """Images in more than one split: identical pixels, and nearly identical faces."""
    rows = sample(np.arange(len(faces.table)), _MOST)
    content = contents(faces, rows)
    bits, shows = face_hashes(faces, rows)
    numbers = split_numbers(faces)[rows]

    def same(a: Rows, b: Rows) -> _Distances:
        return np.where(content[a][:, None] == content[b], np.float32(0), np.inf)

    def alike(a: Rows, b: Rows) -> _Distances:
        different = _different(bits[a], bits[b])
        counts = (different <= ALIKE) & shows[a][:, None] & shows[b] & (content[a][:, None] != content[b])
        return np.where(counts, different, np.inf)

    held = int((numbers > 0).sum())
    part = f" Checked: {len(rows):,} faces drawn at random." if len(rows) < len(faces.table) else ""
    found = []
    for kind, distance in ((_IDENTICAL, same), (_SIMILAR, alike)):
        twins = _across(numbers, rows, distance)
        count, figures = len(twins.nearest), {"pairs": float(twins.pairs)}
        if kind is _IDENTICAL:
            text, exclude = "have an image with the same pixels in another split", twins.others
        else:
            subjects = faces.table.subjects[twins.nearest]
            others = int((subjects[:, 0] != subjects[:, 1]).sum())
            figures["of_other_names"] = float(others)
            text = f"look almost like a face of another split, {others:,} of them like a face of another subject"
            exclude = rows[:0]  # the next frames of a video are good training faces
        if count:
            text = f"{count:,} of {held:,} held-out faces {text}.{part}"
            pairs = twins.nearest.ravel()
            found.append(kind.finding(text, held, pairs, count=count, exclude=exclude, figures=figures))
    return found


def _across(numbers: npt.NDArray[np.int8], rows: Rows, distance: Callable[[Rows, Rows], _Distances]) -> _Twins:
    """Twins of test in train, of test in val and of val in train.

    Args:
        numbers: (N,) split of each place.
        rows: (N,) the row of the table at each place.
        distance: places (A,) and (B,) -> (A, B) distances; infinite for faces that are no twins.
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
