"""What an examination of a data set says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

EXAMPLES = 24
"""The most rows that a finding shows."""

Severity = Literal["fault", "warning", "note"]
"""A fault makes labels or figures wrong, a warning may, a note is worth knowing."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The gravest first."""


@dataclass(frozen=True)
class Finding:
    """One thing found on a data set.

    Attributes:
        name: what scripts call it, e.g. "quantization".
        title: a few words for people.
        severity: how bad it is.
        count: how many faces, subjects, images or files it concerns.
        total: out of how many.
        text: what was found, with figures; one or two sentences.
        advice: what to do.
        rows: rows of ``faces.table`` that show it, most telling first, at most `EXAMPLES`.
        exclude: rows of ``faces.table`` that should be left out of training.
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
