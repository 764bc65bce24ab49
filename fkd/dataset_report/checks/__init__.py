"""Dataset checks: what is wrong, or worth knowing, about a set of annotated faces."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from fkd.data.face_data import Faces
from fkd.dataset_report.checks.disagreement import disagreement
from fkd.dataset_report.checks.duplicates import repeated
from fkd.dataset_report.checks.files import unannotated
from fkd.dataset_report.checks.finding import EXAMPLES, SEVERITIES, Finding, Severity
from fkd.dataset_report.checks.net_predictions import check_net
from fkd.dataset_report.checks.points import collapsed, narrow, outside, unseen
from fkd.dataset_report.checks.quantization import quantization
from fkd.dataset_report.checks.shapes import misshapen
from fkd.dataset_report.checks.shift import shift
from fkd.dataset_report.checks.subject_leakage import shared_subjects
from fkd.inference.predictor import Net

__all__ = ["EXAMPLES", "SEVERITIES", "Finding", "Severity", "examine"]


def examine(
    faces: Faces, net: Net | None = None, root: Path | None = None, trained: Collection[str] = ()
) -> list[Finding]:
    """Every examination; the findings, most serious first. Of large sets samples are looked at, always the same ones.

    Args:
        faces: what is examined.
        net: a trained net, which shows shifts of all labels and labels that stand out; best trained on these faces,
            without mirrored or turned copies (augmentation=none).
        root: the folder that the rows' paths are below, to find images without a row.
        trained: subjects that the net learned from, or their pseudonyms.

    Raises:
        UserError: the net finds other points.
    """
    if net is not None:
        check_net(net, faces)
    broken = [unseen(faces), collapsed(faces)]
    wrong = np.array([row for finding in broken if finding for row in finding.exclude], np.int64)
    found = [
        shared_subjects(faces),
        *repeated(faces),
        *broken,
        *misshapen(faces, wrong),
        narrow(faces),
        outside(faces),
        quantization(faces),
    ]
    if net is not None:
        found += [shift(faces, net, trained), disagreement(faces, net, trained)]
    if root is not None:
        found.append(unannotated(faces, root))
    return sorted(
        (finding for finding in found if finding),
        key=lambda finding: (SEVERITIES.index(finding.severity), -finding.count),
    )
