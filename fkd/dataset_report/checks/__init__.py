"""Dataset checks: mistakes in a set of annotated faces, and other facts worth knowing."""

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
    """Run all checks and return their findings, the most serious first. Large sets are sampled with a fixed seed.

    Args:
        faces: the data set.
        net: a trained net, for the checks of shifted and of contradicted labels; best trained on these faces, without
            mirrored or turned copies (augmentation=none).
        root: the folder to which the rows' paths are relative, to find images without a row.
        trained: subjects that the net was trained on, or their pseudonyms.

    Raises:
        UserError: the net predicts other keypoints.
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
