"""From faces to the maps that a net shall give, and the loss between them."""

import math

import numpy as np
import torch
from torch import Tensor

from fkd.detect.centernet import STRIDE
from fkd.detector_training.photos import SURE, Labels
from fkd.types import Points

_SPREAD = 0.08  # standard deviation of a face's peak, as a share of its width
_NARROWEST = 0.5  # the same in cells, at least
_NEAR = 0.1  # distance from the centre up to which cells learn the square, as a share of its width; one cell at least
_UNCLEAR = 0.6  # half width, in face widths, of the square about a face that may be none, where nothing is learned


def maps_of(labels: Labels, size: int) -> Points:
    """The maps (8, size/8, size/8) float32 of the faces of one square image.

    The first six are those of `fkd.detector_training.net.MapNet`, the first as a probability; then the weight of the
    first map, 0 or 1, and the weight of the other five.
    """
    cells = size // STRIDE
    maps = np.zeros((8, cells, cells), np.float32)
    maps[6] = 1
    middles = np.arange(cells) * STRIDE + (STRIDE - 1) / 2
    for x, y, side, roll, score in sorted(labels.rows(), key=lambda row: -row[2]):  # small faces in front
        dx, dy = (x - middles)[None, :] / STRIDE, (y - middles)[:, None] / STRIDE
        if score < SURE:
            reach = _UNCLEAR * side / STRIDE
            maps[6][(np.abs(dx) <= reach) & (np.abs(dy) <= reach)] = 0
            continue
        width = side / STRIDE
        away = dx**2 + dy**2
        peak = np.exp(-away / (2 * max(_SPREAD * width, _NARROWEST) ** 2))
        centre = np.unravel_index(away.argmin(), away.shape)
        peak[centre] = 1
        maps[0] = np.maximum(maps[0], peak)
        near = away <= max(_NEAR * width, 1.0) ** 2
        near[centre] = True
        maps[1, near], maps[2, near] = (np.broadcast_to(d, away.shape)[near] for d in (dx, dy))
        maps[3, near], maps[4, near], maps[5, near] = (
            math.log(width),
            math.cos(math.radians(roll)),
            math.sin(math.radians(roll)),
        )
        maps[7, near] = peak[near]
    maps[6][maps[0] == 1] = 1
    return maps


def loss_of(found: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The parts of the loss, each a mean over faces.

    The map of centres has the penalty-reduced focal loss of Law and Deng, "CornerNet", ECCV 2018, eq. 1; offset, size
    and roll have the mean absolute error, that of the offset as a share of the face's width.

    Args:
        found: (B, 6, H, W) of a net.
        target: (B, 8, H, W) of `maps_of`.
    """
    logits, peak, weight, near = found[:, 0], target[:, 0], target[:, 6], target[:, 7]
    is_centre = (peak == 1).float()
    faces = is_centre.sum().clamp(min=1)
    log_yes, log_no = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
    yes, no = log_yes.exp(), log_no.exp()
    focal = is_centre * no**2 * log_yes + (1 - is_centre) * (1 - peak) ** 4 * yes**2 * log_no
    cells, total = target[:, 3].exp(), near.sum().clamp(min=1)
    apart = (found[:, 1:] - target[:, 1:6]).abs()
    return {
        "centre": -(focal * weight).sum() / faces,
        "offset": (apart[:, :2].sum(dim=1) / cells * near).sum() / total,
        "size": (apart[:, 2] * near).sum() / total,
        "roll": (apart[:, 3:].sum(dim=1) * near).sum() / total,
    }
