"""The result of a dataset check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fkd.data.split import Rows

EXAMPLES = 24
"""The most rows that a finding shows."""

Severity = Literal["fault", "warning", "note"]
"""A fault makes labels or scores wrong, a warning may, a note is worth knowing."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The most serious first."""


@dataclass(frozen=True)
class Finding:
    """One thing found in a data set.

    Attributes:
        name: for scripts, e.g. "quantization".
        title: a few words for people.
        severity: how serious it is.
        count: the number of faces, subjects, images or files that it concerns.
        total: the number of those that were checked.
        text: the finding with figures, in one or two sentences.
        advice: what to do.
        rows: rows of ``faces.table`` that show it, the clearest first, at most `EXAMPLES`.
        exclude: rows of ``faces.table`` to leave out of training.
        figures: the numbers of the text, by name.
    """

    name: str
    title: str
    severity: Severity
    count: int
    total: int
    text: str
    advice: str
    rows: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """The fixed part of findings of one kind; the attributes are those of `Finding`."""

    name: str
    title: str
    severity: Severity
    advice: str

    def finding(
        self,
        text: str,
        total: int,
        rows: Rows,
        order: npt.NDArray[np.floating] | npt.NDArray[np.integer] | None = None,
        *,
        count: int | None = None,
        exclude: Rows | None = None,
        figures: Mapping[str, float] | None = None,
    ) -> Finding:
        """A finding that rows (M,) show, sorted by `order` (M,), highest first, if given; `count` is M by default."""
        shown = rows if order is None else rows[np.argsort(-order, kind="stable")]
        return Finding(
            **vars(self),
            text=text,
            count=len(rows) if count is None else count,
            total=total,
            rows=tuple(shown[:EXAMPLES].tolist()),
            exclude=() if exclude is None else tuple(exclude.tolist()),
            figures=figures or {},
        )
