"""The predictions of a net on annotated faces, plain, mirrored or turned."""

import math

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.errors import UserError
from fkd.geometry import affine_after, crop_matrices, square_around, transform
from fkd.inference.labelled_faces import keypoints_of
from fkd.inference.predictor import Net
from fkd.types import Image, Points

_BATCH = 64


def check_net(net: Net, faces: Faces) -> None:
    """Raise UserError if the net predicts other keypoints than those of the faces."""
    wanted, found = faces.table.schema, net.metadata.schema
    if (found.name, len(found)) != (wanted.name, len(wanted)):
        raise UserError(
            f"ckpt: expected a net for the {len(wanted)} points {wanted.name} of data={faces.name}, found one for"
            f" {len(found)} points {found.name}; give another net, or none"
        )


def usable_rows(faces: Faces) -> Rows:
    """Rows with a visible point and a positive inter-ocular distance."""
    table = faces.table
    return np.flatnonzero(table.visible.any(axis=1) & (table.schema.interocular(table.keypoints) > 0))


def predictions(
    net: Net, faces: Faces, rows: Rows, title: str, *, mirrored: bool = False, degrees: float = 0.0
) -> Points:
    """(M, K, 2) a net's keypoints on the faces of rows (M,), photo pixels of the unchanged images.

    Crops are the net's windows around the squares of the labelled points.

    Args:
        net: predicts keypoints.
        faces: the data set.
        rows: rows of its table.
        title: stands before the progress bar.
        mirrored: predict on mirror images, and mirror the keypoints back.
        degrees: turn the image clockwise about the mean of the face's points, and turn the keypoints back.
    """

    def predict(crops: Image) -> tuple[Points, None]:
        if not mirrored:
            return net(crops), None
        return metadata.schema.mirrored(net(np.ascontiguousarray(crops[..., ::-1])), metadata.size), None

    keypoints, metadata = faces.table.keypoints[rows], net.metadata
    turns = turns_about(keypoints.mean(axis=1), degrees)
    windows = metadata.window(square_around(transform(keypoints, turns)))
    matrices = affine_after(crop_matrices(windows, metadata.size), turns)
    numbers = faces.table.images[rows]
    return keypoints_of(predict, faces.images, numbers, matrices, metadata, batch_size=_BATCH, title=title)[0]


def turns_about(centres: npt.NDArray[np.floating], degrees: float) -> npt.NDArray[np.float64]:
    """(N, 2, 3) clockwise turns, as seen on the image, about centres (N, 2)."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    linear = np.broadcast_to(np.array([[cosine, -sine], [sine, cosine]]), (len(centres), 2, 2))
    offset = centres[..., None] - linear @ centres[..., None].astype(np.float64)
    return np.concatenate([linear, offset], axis=-1)
