"""Faces whose labels differ most from a trained net's predictions."""

from collections.abc import Collection

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.split import among
from fkd.dataset_report.checks.finding import Finding, Kind
from fkd.dataset_report.checks.net_predictions import predictions, usable_rows
from fkd.dataset_report.checks.sampling import outliers, reach, sample
from fkd.inference.predictor import Net

_MOST = 5_000  # faces
_FAR = 4.0  # standard deviations above the middle of the logarithms of the faces' errors
_DISAGREEMENT = Kind(
    "disagreement",
    "Labels that the net contradicts",
    "warning",
    "Look at them, the first ones above all; leave out those whose labels are wrong.",
)


def disagreement(faces: Faces, net: Net, trained: Collection[str]) -> Finding | None:
    """The faces on which the net's error is far above its median: a wrong label, or a face that is hard for the net.

    Args:
        faces: the data set.
        net: predicts keypoints.
        trained: subjects that it was trained on, or their pseudonyms.
    """
    table = faces.table
    rows = sample(usable_rows(faces), _MOST)
    if not len(rows):
        return None
    labels, visible = table.keypoints[rows], table.visible[rows]
    distances = np.linalg.norm(predictions(net, faces, rows, "Predicting keypoints") - labels, axis=-1)
    error = np.where(visible, distances, 0).sum(axis=1) / visible.sum(axis=1) / table.schema.interocular(labels)
    far, middle, _ = outliers(np.log(np.maximum(error, 1e-6)), _FAR)
    usual = float(np.exp(middle))
    if not far.any():
        return None
    share = among(table.subjects[rows], trained).mean()
    known = f" The net was trained on {share:.0%} of these subjects: its error on them is too low." if share else ""
    text = (
        f"On {far.sum():,} of {len(rows):,} faces the net's error is {reach(error[far], '.1%')} of"
        f" the inter-ocular distance (usual: {usual:.1%}): a wrong label, or a hard face.{known}"
    )
    figures = {"median_error": 100 * usual, "largest_error": float(100 * error.max()), "seen_share": float(share)}
    return _DISAGREEMENT.finding(text, len(rows), rows[far], error[far], figures=figures)
