"""Faces whose labels a trained net contradicts most."""

from collections.abc import Collection

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.split import among
from fkd.dataset_report.checks.finding import Finding
from fkd.dataset_report.checks.net_predictions import answers
from fkd.dataset_report.checks.sampling import examples, reach, sample
from fkd.inference.predictor import Net

_MOST = 5_000  # faces looked at
_FAR = 4.0  # robust standard deviations above the median of the logarithm of a face's error


def disagreement(faces: Faces, net: Net, trained: Collection[str]) -> Finding | None:
    """The faces on which the net's error is far above the usual: a wrong label, or a face that is hard for the net.

    Args:
        faces: what the net is shown.
        net: finds points.
        trained: subjects that it learned from, or their pseudonyms.
    """
    table = faces.table
    usable = np.flatnonzero(table.visible.any(axis=1) & (table.schema.interocular(table.keypoints) > 0))
    rows = sample(usable, _MOST)
    if not len(rows):
        return None
    labels, visible = table.keypoints[rows], table.visible[rows]
    distances = np.linalg.norm(answers(net, faces, rows, "Asking the net") - labels, axis=-1)
    error = np.where(visible, distances, 0).sum(axis=1) / visible.sum(axis=1) / table.schema.interocular(labels)
    logs = np.log(np.maximum(error, 1e-6))
    middle = np.median(logs)
    far = logs > middle + _FAR * 1.4826 * np.median(abs(logs - middle))
    if not far.any():
        return None
    share = among(table.subjects[rows], trained).mean()
    told = f" It learned from {share:.0%} of these faces' subjects and judges those too kindly." if share > 0 else ""
    return Finding(
        name="disagreement",
        title="Labels that the net contradicts",
        severity="warning",
        count=int(far.sum()),
        total=len(rows),
        text=(
            f"On {far.sum():,} of {len(rows):,} faces the net's error is {reach(error[far], '.1%')} of"
            f" the inter-ocular distance (usual: {np.exp(middle):.1%}): a wrong label, or a hard face.{told}"
        ),
        advice="Look at them, the first ones above all; leave out those whose labels are wrong.",
        rows=examples(rows[far], error[far]),
        figures={
            "median_error": float(100 * np.exp(middle)),
            "largest_error": float(100 * error.max()),
            "seen_share": float(share),
        },
    )
