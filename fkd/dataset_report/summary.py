"""All results of a report on a data set, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.checks.sampling import point_boxes, sample
from fkd.dataset_report.exclusions import excluded
from fkd.dataset_report.measurements import Quantity, Sample, measure, quantities, why_no_pose
from fkd.dataset_report.population import Population, population
from fkd.dataset_report.shapes import Shapes, shapes
from fkd.types import Points


@dataclass(frozen=True)
class Survey:
    """The results.

    Attributes:
        faces: the data set.
        is_whole: whether these are all faces of the set; if some are left out already, the numbers of faces on an image
            differ, and a new list would lack those faces.
        can_exclude: whether the set takes a list of faces to leave out.
        findings: of the checks, the most serious first.
        population: counts of faces, images and subjects.
        boxes: (N, 4) the upright boxes around the visible points, photo pixels.
        sample: measurements that need images.
        quantities: measurements of faces and images, by name.
        shapes: mean shape and modes of the sample's faces; or why there are none.
    """

    faces: Faces
    is_whole: bool
    can_exclude: bool
    findings: tuple[Finding, ...]
    population: Population
    boxes: Points
    sample: Sample
    quantities: Mapping[str, Quantity]
    shapes: Shapes | str

    @property
    def excluded(self) -> Rows:
        """The rows to leave out of training."""
        return excluded(self.faces, self.findings)

    def exclusion_line(self, file: str) -> str:
        """The number of faces to leave out of training, and how, given the name of the list."""
        count, total = len(self.excluded), len(self.faces.splits["train"])
        if not count:
            return "no training face"
        if not self.can_exclude:
            return f"{count:,} of {total:,} training faces; data={self.faces.name} takes no list of them"
        if not self.is_whole:
            return f"{count:,} more training faces; use data.exclude=null to get all of them in one list"
        return f"{count:,} of {total:,} training faces: look through exclude.txt, then train with data.exclude={file}"

    def to_json(self) -> dict[str, Any]:
        """The content of report.json."""
        schema = self.faces.table.schema
        left_out = {"pose": why_no_pose(schema), "shape": self.shapes if isinstance(self.shapes, str) else ""}
        return {
            "data": self.faces.name,
            "schema": schema.name,
            "remarks": list(self.faces.remarks),
            "findings": [self._finding(finding) for finding in self.findings],
            "excluded": len(self.excluded),
            **self.population.to_json(),
            "sample": len(self.sample.rows),
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
    """Measure a data set with at least one face, with a progress bar.

    Args:
        findings: of the checks.
        is_whole: whether these are all faces of the set.
        can_exclude: whether it takes a list of faces to leave out.
        size: the most faces of the sample, on which images and shapes are measured.
        seed: for the choice of the sample.
    """
    rows = sample(np.arange(len(faces.table)), size, seed)
    boxes = point_boxes(faces.table)
    measured = measure(faces, rows, boxes[rows])
    return Survey(
        faces=faces,
        is_whole=is_whole,
        can_exclude=can_exclude,
        findings=tuple(findings),
        population=population(faces),
        boxes=boxes,
        sample=measured,
        quantities=quantities(faces, boxes, measured),
        shapes=shapes(faces, rows),
    )
