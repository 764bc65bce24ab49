"""Scores of a net on annotated faces, at the end of a training and for `fkd evaluate`."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from fkd.data.face_data import SPLITS, Faces
from fkd.data.split import among
from fkd.detect import Detections, Detector
from fkd.errors import UserError
from fkd.evaluation.matching import match, squares_of_faces
from fkd.evaluation.reliability import cross_validated, reliability
from fkd.geometry import invert, square_around, transform
from fkd.inference.labelled_faces import keypoints_of
from fkd.inference.metadata import Metadata
from fkd.inference.predictor import Net, NetWithSpread, answers
from fkd.inference.torch_net import TorchNet
from fkd.metrics import auc, failure_rate, nme, summary
from fkd.terminal import progress
from fkd.types import UNKNOWN, Annotations, Hashes, PerPoint, Points

BOXES = ("keypoints", "jitter", "detector")
MISSED = 100.0
"""The error of a missed face, percent of the inter-ocular distance."""
_SEED_OF_JITTER = 0


@dataclass(frozen=True)
class Candidate:
    """A net with what scores need to know of its training.

    Attributes:
        net: predicts keypoints on crops.
        mean_shape: (K, 2) crop pixels, of the training faces: the baseline.
        subjects: the subjects it was trained on, None if they are unknown.
        image_hashes: of the images it was trained on.
    """

    net: Net
    mean_shape: Points
    subjects: Collection[str] | None
    image_hashes: Hashes = field(default_factory=lambda: UNKNOWN)

    @classmethod
    def of(cls, net: TorchNet) -> Self:
        """The net of a checkpoint."""
        return cls(net, net.model.mean_shape.cpu().numpy(), net.subjects, net.image_hashes)

    @classmethod
    def of_unknown_training(cls, net: Net, faces: Faces) -> Self:
        """A net with an unknown training, such as an exported one.

        The mean shape is that of these faces: of the training split, or of the first split with faces.
        """
        keypoints = faces.sample(next((split for split in SPLITS if len(faces.splits[split])), SPLITS[0]))
        matrices = net.metadata.matrices(square_around(keypoints))
        return cls(net, transform(keypoints, matrices).mean(axis=0), None)

    def trained_on(self, table: Annotations) -> set[str] | None:
        """The subjects of a table on which the net was trained, by their names or by hashes of their images.

        None if it is unknown: no name is the same, as in a set whose folder was renamed, and some images have no hash.
        """
        if self.subjects is None:
            return None
        names, hashes = np.unique(table.subjects), table.image_hashes
        found = {*names[among(names, self.subjects)].tolist()}
        found |= {*table.subjects[np.isin(hashes, self.image_hashes) & (hashes != 0)].tolist()}
        return found if found or (hashes.all() and self.image_hashes.all()) else None


@dataclass(frozen=True)
class Scores:
    """The scores of a net on N faces.

    Attributes:
        metrics: the content of `metrics.json`.
        mean_shape: the same for the mean shape of the training faces, in the same windows.
        windows: (N, 4) the window of each face's crop, photo pixels; around the true points if the face was missed.
        found: (N,) whether the detector found the face.
        preds: (N, K, 2) photo pixels, with the labels' shift; NaN if the face was missed.
        target: (N, K, 2) labels as published.
        face_errors: (N,) NME of each face, percent of the inter-ocular distance; `MISSED` if the face was missed.
        mean_shape_errors: the same for the mean shape.
    """

    metrics: dict[str, Any]
    mean_shape: dict[str, Any]
    windows: Points
    found: npt.NDArray[np.bool_]
    preds: Points
    target: Points
    face_errors: npt.NDArray[np.float32]
    mean_shape_errors: npt.NDArray[np.float32]

    @property
    def curve(self) -> npt.NDArray[np.float32]:
        """(N,) `face_errors` for error curves: infinite if the face was missed."""
        return np.where(self.found, np.nan_to_num(self.face_errors, nan=np.inf), np.float32(np.inf))


def evaluate(
    candidate: Candidate,
    faces: Faces,
    subset: str,
    boxes: str,
    detector: Detector,
    batch_size: int,
    flip: bool = False,
) -> Scores:
    """Score a net on one subset.

    Args:
        boxes: "keypoints" (squares around the true points), "jitter" (those squares with the jitter of a detector's
            boxes) or "detector" (detected on the image; a missed face counts `MISSED` percent).
        flip: average the predictions on a crop and on its mirror image.
        detector: detects the faces, or gives the jitter.

    Raises:
        UserError: the numbers of points differ, the subset is unknown or empty, or no face is found.
    """
    net, metadata = candidate.net, candidate.net.metadata
    table = faces.subset(subset)
    if len(table.schema) != len(metadata.schema):
        raise UserError(
            f"ckpt: this net finds {len(metadata.schema)} points, but data={faces.name} is labelled with "
            f"{len(table.schema)}; use data with the same points"
        )
    if len(table) == 0:
        raise UserError(f"subset={subset}: expected at least one face, found none in data={faces.name}")
    squares, rolls, found = squares_of(table, faces, boxes, detector)
    has_spread = isinstance(net, NetWithSpread) and net.has_spread
    preds, spreads = keypoints_of(
        partial(answers, net, flip=flip, needs_spread=has_spread),
        faces.images,
        table.images,
        metadata.matrices(squares, rolls),
        metadata,
        batch_size=batch_size,
        title="finding keypoints",
    )
    if boxes == "detector" and metadata.shapes is not None:
        found &= metadata.shapes.plausible(preds, detector.limit)  # implausible predictions are dropped in use, too
        if not found.any():
            raise UserError(
                "boxes=detector: the detector found faces, but the points that the net finds on them look like no "
                "face; detector=NAME detector.limit=null keeps them, and fkd predict shows them"
            )
    squares = np.where(found[:, None], squares, square_around(table.keypoints))
    rolls = np.where(found, rolls, np.float32(0))
    mean = transform(candidate.mean_shape, invert(metadata.matrices(squares, rolls)))
    preds, mean = (np.where(found[:, None, None], points, np.float32(np.nan)) for points in (preds, mean))
    preds, mean, target = (table.schema.shifted(points, table.label_shift) for points in (preds, mean, table.keypoints))
    trained_on = candidate.trained_on(table)
    seen = {"subjects_in_training": None if trained_on is None else len(trained_on)}
    expected = expected_error(metadata, preds, target, table, spreads)
    return Scores(
        metrics=score(preds, target, table, found, boxes) | seen | expected,
        mean_shape=score(mean, target, table, found, boxes) | seen,
        windows=metadata.window(squares, rolls),
        found=found,
        preds=preds,
        target=target,
        face_errors=face_errors(preds, target, table, found),
        mean_shape_errors=face_errors(mean, target, table, found),
    )


def squares_of(
    table: Annotations, faces: Faces, boxes: str, detector: Detector
) -> tuple[Points, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(N, 4) squares to predict in, given as in `evaluate`, (N,) rolls, and (N,) whether the face was found.

    Each detected box is at most one face, see `fkd.evaluation.matching`; a missed face keeps its points' square.

    Raises:
        UserError: the detector finds no face at all, or none of its boxes is on a face.
    """
    truth, rolls = square_around(table.keypoints), np.zeros(len(table), np.float32)
    if boxes == "keypoints":
        return truth, rolls, np.ones(len(table), bool)
    if boxes == "jitter":
        return detector.jitter(truth, np.random.default_rng(_SEED_OF_JITTER)), rolls, np.ones(len(table), bool)
    if boxes != "detector":
        raise ValueError(f"boxes: expected one of {BOXES}, found {boxes!r}")
    squares, found = truth.copy(), np.zeros(len(table), bool)
    order, with_boxes = np.argsort(table.images, kind="stable"), 0
    with progress("detecting faces", len(table), transient=True) as advance:
        for rows in np.split(order, 1 + np.flatnonzero(np.diff(table.images[order]))):
            row = rows[0]
            candidates = Detections(*detector(faces.images[int(table.images[row])], str(table.paths[row])))
            there = squares_of_faces(table.take(rows), candidates.rolls)
            with_boxes += len(candidates.squares) > 0
            labels, boxes_of = match(there, candidates.squares).T
            squares[rows[labels]], found[rows[labels]] = candidates.squares[boxes_of], True
            if candidates.rolls is not None:
                rolls[rows[labels]] = candidates.rolls[boxes_of]
            advance(len(rows))
    if not with_boxes:
        raise UserError(
            f"boxes=detector: expected faces, but the detector found none of {len(table)}; try another detector"
        )
    if not found.any():
        raise UserError(
            f"boxes=detector: the detector found boxes on {with_boxes:,} of {len(np.unique(table.images)):,} images, "
            f"none fits the square around the {len(table.schema)} labelled points; if its correction is that of other "
            "points, measure the one for these with fkd calibrate; else look at the labels with fkd explore"
        )
    return squares, rolls, found


def score(
    preds: Points, target: Points, table: Annotations, found: npt.NDArray[np.bool_], boxes: str
) -> dict[str, Any]:
    """The content of `metrics.json` for predictions (N, K, 2) and labels as published.

    The normalised mean errors are of the faces found (N,). The area under the error curve, the failure rate and
    `nme_all` are of all faces: a missed face is a failure, and its error is `MISSED`.
    """
    shown, truth, visible = (torch.from_numpy(array[found]) for array in (preds, target, table.visible))
    errors = face_errors(preds, target, table, found)
    curve = torch.from_numpy(np.where(found, errors, np.inf))
    return {
        **summary(shown, truth, visible, table.schema),
        "auc_10": auc(curve, 10),
        "failure_rate_10": 100 * failure_rate(curve, 10),
        "faces": len(table),
        "missed_faces": int((~found).sum()),
        "nme_all": float(errors.mean()),
        "subjects": len(np.unique(table.subjects)),
        "boxes": boxes,
        "labels": "published",
    }


def expected_error(
    metadata: Metadata, preds: Points, target: Points, table: Annotations, spreads: PerPoint | None
) -> dict[str, Any]:
    """`fkd.evaluation.reliability` of the errors that a net expects, for `metrics.json`.

    Returns:
        expected_error: of the net's own model; None if it has none.
        expected_error_cross_validated: of models of these faces; None if they are too few.
    """
    errors = np.linalg.norm(preds - target, axis=-1) / np.maximum(table.schema.interocular(target), 1e-9)[:, None]
    errors = np.where(table.visible, errors, np.nan)
    own = None if metadata.error_model is None else metadata.error_model.expected(spreads, len(errors))
    crossed = cross_validated(errors, spreads, table.subjects)
    named = {"expected_error": own, "expected_error_cross_validated": crossed}
    return {name: None if expected is None else reliability(expected, errors) for name, expected in named.items()}


def face_errors(
    preds: Points, target: Points, table: Annotations, found: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """(N,) NME of each face, percent of the inter-ocular distance; `MISSED` if it was not found (N,)."""
    truth, visible = torch.from_numpy(target), torch.from_numpy(table.visible)
    errors = nme(torch.from_numpy(preds), truth, table.schema.interocular(truth), visible)
    return np.where(found, (100 * errors).numpy(), np.float32(MISSED))
