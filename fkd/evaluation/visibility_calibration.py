"""Calibrates on synthetic faces, which know it, whether a photo shows each point."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import binary_auroc

from fkd.errors import UserError
from fkd.geometry import Jitter, channels_first, crop_images, square_around
from fkd.inference.predictor import Net, answers
from fkd.io.images import in_channels
from fkd.models.visibility_model import Floats, VisibilityModel
from fkd.schema import IBUG68
from fkd.synthetic.render import draw
from fkd.terminal import progress
from fkd.types import Points

_SEED = 68_000  # of subjects that no training has drawn
_FACES, _TESTED = 1500, 500
_SIZE, _LARGE_POSES = 192, 0.4
_JITTER = Jitter(0.06, 0.04, 0.04)
_BATCH = 50


class VisibilityCalibration(NamedTuple):
    """A fitted model of visibility and its score on other faces."""

    model: VisibilityModel
    area: float  # under the ROC curve on faces of other subjects, all points together


def check(net: Net) -> None:
    """Check, before the long work, that the visibility of a net's points can be calibrated.

    Raises:
        UserError: the net's schema is not ibug68, or it gives no spread.
    """
    if net.metadata.schema != IBUG68 or not getattr(net, "has_spread", False):
        raise UserError(
            "visibility=true: expected a net of ibug68's points with heatmaps (compact, heatmap, simcc), found "
            "another; leave it out"
        )


def calibrate(net: Net, faces: int = _FACES, tested: int = _TESTED) -> VisibilityCalibration:
    """Fit on synthetic faces, 40 % of them with heads turned by up to 90 degrees, and test on those of other subjects.

    Raises:
        UserError: see `check`.
    """
    check(net)
    keypoints, spreads, visible = _answers(net, faces + tested)
    model = VisibilityModel.fit(keypoints[:faces], spreads[:faces], visible[:faces])
    found = model.probability(keypoints[faces:], spreads[faces:])
    truth = torch.from_numpy(visible[faces:]).long()
    return VisibilityCalibration(model, float(binary_auroc(torch.from_numpy(found), truth)))


def _answers(net: Net, faces: int) -> tuple[Points, Floats, npt.NDArray[np.bool_]]:
    """Keypoints (N, 68, 2) and relative spreads (N, 68) on synthetic faces, and whether each point is visible."""
    size, rng = net.metadata.size, np.random.default_rng(_SEED)
    found = []
    with progress("Drawing faces to see what hides points", faces, transient=True) as advance:
        for start in range(0, faces, _BATCH):
            drawn = [
                draw(_SEED, subject, 0, _SIZE, _LARGE_POSES) for subject in range(start, min(start + _BATCH, faces))
            ]
            squares = _JITTER(square_around(np.stack([face.points for face in drawn])), rng)
            photos = (in_channels(face.image, net.metadata.channels) for face in drawn)
            crops = channels_first(crop_images(photos, net.metadata.matrices(squares), size))
            keypoints, spreads = answers(net, crops, flip=False, needs_spread=True)
            assert spreads is not None
            found.append((keypoints, spreads, np.stack([face.visible for face in drawn])))
            advance(len(drawn))
    keypoints, spreads, visible = (np.concatenate(each) for each in zip(*found, strict=True))
    return keypoints, spreads, visible
