"""Hair on the skull: a cap from the hairline to the crown, in strands, that may hang down at the sides."""

import cv2
import numpy as np

from fkd.data.synthesis.camera import Camera
from fkd.data.synthesis.canvas import Surface, surface
from fkd.data.synthesis.shape import Array, Head, grid_column, grid_row
from fkd.data.synthesis.skin import light_on
from fkd.data.synthesis.subject import Shot, Subject

STRANDS = 81
"""How many columns of hair go around a head."""

_ANGLES = np.linspace(-np.pi, np.pi, STRANDS)
_SHARE = np.linspace(0, 1, 9)[:, None]  # from crown to edge
_CROWN = -2.7
_HANGING = 0.7  # below this height hair no longer follows the head


def hair(head: Head, subject: Subject, shot: Shot, camera: Camera, noise: Array) -> tuple[list[Surface], Surface]:
    """The hair behind the head, if it is long, and the hair in front of it.

    Args:
        noise: (4, STRANDS) unit normal deviates that belong to the person.
    """
    edge = np.interp(np.abs(_ANGLES), [0.1, 0.75, 1.25, 2.3], subject.hairline)
    locks = cv2.GaussianBlur(noise, (7, 1), 0)  # neighbouring strands fall together
    edge = edge + 1.6 * locks[0] * np.where(edge < 0.5, subject.fringe, 0.12) + 0.3 * subject.fringe * noise[0]
    height = _CROWN + (edge - _CROWN) * _SHARE
    cap = _cap(head, height)
    outward = cap - [0, 0, -1.5]
    outward[..., 1] -= np.clip(height, -1.4, 0)
    outward /= np.sqrt((outward * outward).sum(axis=-1, keepdims=True))
    thickness = subject.volume * (1 + 0.25 * locks[1]) * np.minimum(1, 0.25 + 2.2 * (1 - _SHARE) + (edge > 0.5))
    cap = cap + outward * thickness[..., None]
    cap[..., 1] += np.maximum(height - _HANGING, 0)
    facing = camera.rotate(outward)
    strands = 1 + 0.15 * noise[1] + 0.3 * locks[2] + 0.12 * noise[2] * np.sin(3 * _SHARE + 3 * locks[3])
    gloss = 0.5 * np.exp(-(((facing @ shot.light) - 0.85) ** 2) / 0.02)
    colours = (subject.hair * (light_on(facing, shot) * strands)[..., None]) * (1 + gloss[..., None])
    places = camera.project(cap)
    far_last = bool(camera.rotation[0, 2] > 0)
    front = surface(places, facing[..., 2], colours, fine=(7, 2), far_last=far_last)
    if subject.hairline[2:].max() < 0.5:
        return [], front
    return [surface(places, 0.2 - facing[..., 2], 0.55 * colours, fine=(7, 2), far_last=far_last)], front


def _cap(head: Head, height: Array) -> Array:
    """The head's surface (S, A, 3) at mean heights (S, A) and the cap's angles; straight down where hair hangs."""
    columns = np.broadcast_to(grid_column(_ANGLES), height.shape).astype(np.float32)
    rows = grid_row(np.minimum(height, _HANGING)).astype(np.float32)
    return cv2.remap(head.grid.astype(np.float32), columns, rows, cv2.INTER_LINEAR).astype(np.float64)
