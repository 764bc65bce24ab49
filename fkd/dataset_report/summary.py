"""All that is found about a data set, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.checks.sampling import point_boxes, sample
from fkd.dataset_report.exclusions import excluded
from fkd.dataset_report.measurements import Quantity, Seen, look, quantities
from fkd.dataset_report.population import Population, population
from fkd.dataset_report.shapes import Shapes, shapes
from fkd.terminal import progress
from fkd.types import Points


@dataclass(frozen=True)
class Survey:
    """A data set, looked at.

    Attributes:
        faces: the data set.
        is_whole: whether these are all faces of the set; where some are left out already, a list of others to leave out
            would forget them, and the faces of an image have other numbers.
        can_exclude: whether the set takes a list of faces to leave out.
        findings: of the checks, the most serious first.
        population: who and what it holds.
        boxes: (N, 4) the upright boxes around the visible points, photo pixels.
        seen: what was measured with the images of a sample.
        quantities: what was measured on faces and images, by name.
        shapes: mean shape and modes of the sample's faces; or why there are none.
    """

    faces: Faces
    is_whole: bool
    can_exclude: bool
    findings: tuple[Finding, ...]
    population: Population
    boxes: Points
    seen: Seen
    quantities: Mapping[str, Quantity]
    shapes: Shapes | str

    @property
    def excluded(self) -> Rows:
        """The rows that should be left out of training."""
        return excluded(self.faces, self.findings)

    def to_json(self) -> dict[str, Any]:
        """The content of report.json."""
        sampled = len(self.seen.rows)
        left_out = {"pose": self.seen.no_pose, "shape": self.shapes if isinstance(self.shapes, str) else ""}
        return {
            "data": self.faces.name,
            "schema": self.faces.table.schema.name,
            "remarks": list(self.faces.remarks),
            "findings": [self._finding(finding) for finding in self.findings],
            "excluded": len(self.excluded),
            **self.population.to_json(),
            "sample": sampled,
            "quantities": {name: quantity.to_json() for name, quantity in self.quantities.items()},
            "shape": None if isinstance(self.shapes, str) else self.shapes.to_json(),
            "left_out": {name: why for name, why in left_out.items() if why},
        }

    def _finding(self, finding: Finding) -> dict[str, Any]:
        paths = self.faces.table.paths
        named = {key: value for key, value in asdict(finding).items() if key != "exclude"}
        left_out = len(excluded(self.faces, [finding]))
        return {**named, "faces": [str(paths[row]) for row in finding.rows], "excluded": left_out}


def survey(
    faces: Faces, findings: Sequence[Finding], is_whole: bool, can_exclude: bool, size: int, seed: int
) -> Survey:
    """Looks at a data set with at least one face, with progress bars.

    Args:
        findings: of the checks.
        is_whole: whether these are all faces of the set.
        can_exclude: whether it takes a list of faces to leave out.
        size: at most so many faces are looked at for what needs their images or all of their points.
        seed: of who these are.
    """
    rows = sample(np.arange(len(faces.table)), size, seed)
    seen = look(faces, rows)
    with progress("measuring faces", 4) as advance:
        subjects = population(faces)
        advance()
        boxes = point_boxes(faces.table)
        advance()
        measured = quantities(faces, boxes, seen)
        advance()
        formed = shapes(faces, rows)
        advance()
    return Survey(faces, is_whole, can_exclude, tuple(findings), subjects, boxes, seen, measured, formed)
