"""Pictures, or faces, that are in more than one split."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fkd.data.faces import Faces
from fkd.data.split import Rows
from fkd.doctor.finding import EXAMPLES, Finding
from fkd.doctor.hashes import Bits, contents, face_hashes
from fkd.doctor.rows import sample, split_numbers

ALIKE = 16
"""Different bits, of 143, up to which two faces count as the same picture.

Measured on 3,775 frames of Udacity's set: among the seven million pairs of different people the closest differ in 26
bits, and a face differs from itself in at most 10 when saved as JPEG of quality 30, in at most 18 (19 of 20 faces) when
halved in size. With the 8 x 8 frequencies of others the two overlap: 6 bits between people, 12 after halving.
"""
_MOST = 20_000  # faces looked at
_PIECE = 2_000
_ADVICE = "Leave these training faces out, or split by person (data.split=subject, where the source offers it)."

_Pairs = npt.NDArray[np.int64]
"""(M, 2) places in the sample of rows: of a held-out face, and of its twin in a split that is learned from."""


def repeated(faces: Faces) -> list[Finding]:
    """Pictures in more than one split: pixel for pixel, and nearly so."""
    looked = sample(np.arange(len(faces.table)), _MOST)
    content = contents(faces, looked)
    bits, shows = face_hashes(faces, looked)
    numbers = split_numbers(faces)[looked]
    same = _across(numbers, lambda a, b: content[a][:, None] == content[b])
    alike = _across(numbers, lambda a, b: (_different(bits[a], bits[b]) <= ALIKE) & shows[a][:, None] & shows[b])
    alike = alike[content[alike[:, 0]] != content[alike[:, 1]]]
    alike = alike[np.argsort((bits[alike[:, 0]] != bits[alike[:, 1]]).sum(axis=1), kind="stable")]
    held = int((numbers > 0).sum())
    part = f" Looked at: {len(looked):,} faces drawn at random." if len(looked) < len(faces.table) else ""
    return [
        finding(faces, looked[pairs], held, part) for pairs, finding in ((same, _same), (alike, _alike)) if pairs.size
    ]


def _same(faces: Faces, rows: Rows, held: int, part: str) -> Finding:
    """Of rows (M, 2), held out and its twin."""
    first = _first_twins(rows)
    return Finding(
        name="identical",
        title="The same picture in more than one split",
        severity="fault",
        count=len(first),
        total=held,
        text=f"{len(first):,} of {held:,} held-out faces are on pictures that another split has pixel for pixel.{part}",
        advice=_ADVICE,
        rows=tuple(first.ravel()[:EXAMPLES].tolist()),
        exclude=tuple(np.unique(rows[:, 1]).tolist()),
        figures={"pairs": float(len(rows))},
    )


def _alike(faces: Faces, rows: Rows, held: int, part: str) -> Finding:
    """Of rows (M, 2), held out and its twin, the most alike first."""
    first = _first_twins(rows)
    people = faces.table.subjects[first]
    others = int((people[:, 0] != people[:, 1]).sum())
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
        advice="Split by person (data.split=subject, where the source offers it), or read scores with care.",
        rows=tuple(first.ravel()[:EXAMPLES].tolist()),
        exclude=(),  # the next frames of a video are good training faces
        figures={"pairs": float(len(rows)), "of_other_names": float(others)},
    )


def _first_twins(rows: Rows) -> Rows:
    """The first pair (2,) of each held-out row, in the order of the pairs (M, 2)."""
    _, places = np.unique(rows[:, 0], return_index=True)
    return rows[np.sort(places)]


def _across(numbers: npt.NDArray[np.int8], match: Callable[[Rows, Rows], Bits]) -> _Pairs:
    """Pairs that match, of test with train, test with val and val with train.

    Args:
        numbers: (N,) split of each place.
        match: places (A,) and (B,) -> (A, B) which of them do.
    """
    found = [np.zeros((0, 2), np.int64)]
    for high, low in ((2, 0), (2, 1), (1, 0)):
        below, above = np.flatnonzero(numbers == low), np.flatnonzero(numbers == high)
        for piece in np.split(above, range(_PIECE, len(above), _PIECE)):
            one, other = np.nonzero(match(piece, below))
            found.append(np.stack([piece[one], below[other]], axis=1))
    return np.concatenate(found)


def _different(one: Bits, other: Bits) -> npt.NDArray[np.float32]:
    """(A, B) number of bits in which hashes (A, n) and (B, n) differ."""
    a, b = (np.where(bits, 1, -1).astype(np.float32) for bits in (one, other))
    different: npt.NDArray[np.float32] = (a.shape[1] - a @ b.T) / 2
    return different
