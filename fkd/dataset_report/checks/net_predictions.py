"""What a net answers about annotated faces, as they are, mirrored or turned."""

import math

import numpy as np
import numpy.typing as npt

from fkd.data.face_data import Faces
from fkd.data.split import Rows
from fkd.errors import UserError
from fkd.geometry import affine_after, channels_first, crop_matrices, invert, square_around, transform, warp
from fkd.inference.predictor import Net
from fkd.io import images
from fkd.terminal import progress
from fkd.types import Points

_BATCH = 64


def check_net(net: Net, faces: Faces) -> None:
    """Raises UserError where the net finds other points than those of the faces."""
    wanted, found = faces.table.schema, net.metadata.schema
    if (found.name, len(found)) != (wanted.name, len(wanted)):
        raise UserError(
            f"ckpt: expected a net for the {len(wanted)} points {wanted.name} of data={faces.name}, found one for"
            f" {len(found)} points {found.name}; give another net, or none"
        )


def answers(net: Net, faces: Faces, rows: Rows, title: str, *, mirrored: bool = False, degrees: float = 0.0) -> Points:
    """What a net finds on the faces of rows (M,): (M, K, 2) photo pixels, as the images are.

    Each face is shown in the window that use would show it in, around the square of its labelled points.

    Args:
        net: finds points.
        faces: what it is shown.
        rows: of their table.
        title: what the progress bar says.
        mirrored: show mirror images, and mirror the answers back.
        degrees: turn the image clockwise about the middle of the face's points, and the answers back.
    """
    found = []
    with progress(title, len(rows)) as advance:
        for batch in np.split(rows, range(_BATCH, len(rows), _BATCH)):
            crops, matrices = _crops(net, faces, batch, degrees)
            if mirrored:
                keypoints = faces.table.schema.mirrored(net(np.ascontiguousarray(crops[..., ::-1])), net.metadata.size)
            else:
                keypoints = net(crops)
            found.append(transform(keypoints, invert(matrices)))
            for _ in batch:
                advance()
    return np.concatenate(found)


def _crops(
    net: Net, faces: Faces, rows: Rows, degrees: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.floating]]:
    """(B, C, S, S) what the net is shown, and matrices (B, 2, 3) from photo to crop pixels."""
    keypoints, size = faces.table.keypoints[rows], net.metadata.size
    turns = turns_about(keypoints.mean(axis=1), degrees)
    windows = net.metadata.window(square_around(transform(keypoints, turns)))
    matrices = affine_after(crop_matrices(windows, size), turns)
    crops = []
    for image, matrix in zip(faces.table.images[rows].tolist(), matrices, strict=True):
        photo = images.in_channels(faces.images[image], net.metadata.channels)
        crops.append(channels_first(warp(photo, matrix, np.empty((size, size, *photo.shape[2:]), np.uint8))))
    return np.stack(crops), matrices


def turns_about(centres: npt.NDArray[np.floating], degrees: float) -> npt.NDArray[np.float64]:
    """(N, 2, 3) clockwise turns, as the image is seen, about centres (N, 2)."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    linear = np.broadcast_to(np.array([[cosine, -sine], [sine, cosine]]), (len(centres), 2, 2))
    offset = centres[..., None] - linear @ centres[..., None].astype(np.float64)
    return np.concatenate([linear, offset], axis=-1)
